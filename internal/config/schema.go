package config

import _ "embed" // for the schema

//go:embed schema.json
var schema string

// Schema returns the JSON schema of hale.yaml (draft 7), for editors.
func Schema() string { return schema }
