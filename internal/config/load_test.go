package config_test

import (
	"testing"

	"hale/internal/config"
)

func TestDefaultsAreAccepted(t *testing.T) {
	c := config.Default()
	if c.Listen != ":8080" || c.Health.Details.Level != config.DetailsPrivate || c.Limits.HeaderSize != 64<<10 {
		t.Errorf("defaults: %+v", c)
	}
}
