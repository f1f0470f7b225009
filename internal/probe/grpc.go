package probe

import "strconv"

const healthMethod = "/grpc.health.v1.Health/Check"

func grpcName(code int) string         { return strconv.Itoa(code) }
func serving(body []byte) bool         { return len(body) == 2 && body[0] == 8 && body[1] == 1 }
func servingStatus(body []byte) string { return "" }
