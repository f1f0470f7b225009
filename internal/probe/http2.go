package probe

import "errors"

func (c *conversation) speaksHTTP2() bool {
	switch c.Protocol { //nolint:exhaustive // HTTPS may agree to it, the others not
	case H2C, H2, GRPC, GRPCS:
		return true
	case HTTPS:
		return c.a.TLS.NegotiatedProtocol == "h2"
	}
	return false
}

func (c *conversation) speakHTTP2() { c.fail(NotHTTP, errors.New("HTTP/2 is not spoken yet")) }
