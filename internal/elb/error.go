package elb

import "fmt"

// Error is a refusal in the words of the ELBv2 API: what its clients branch on,
// and what people read.
type Error struct {
	// Code is the API's, as in TargetGroupNotFound (ELBv2 API, Errors of each
	// action). Without one it is ValidationError.
	Code    string
	Message string
}

// CodeValidation is the code of what no other one fits.
const CodeValidation = "ValidationError"

// Errorf returns an Error.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Message }
