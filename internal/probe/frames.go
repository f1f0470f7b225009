package probe

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Frames tells in lines what bytes of HTTP/2 say: a line for each frame, and
// below it one for each field or the data, indented. What is no frame, or only
// the beginning of one, ends it. The values are the other side's, unchanged.
func Frames(wire []byte) []string {
	var lines []string
	if rest, ok := bytes.CutPrefix(wire, []byte(http2.ClientPreface)); ok {
		lines, wire = append(lines, "the client's preface"), rest
	}
	framer := http2.NewFramer(nil, bytes.NewReader(wire))
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	framer.MaxHeaderListSize = mostHead
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return lines
		}
		lines = append(lines, describe(frame)...)
	}
}

func describe(frame http2.Frame) []string {
	head := frame.Header()
	title := head.Type.String()
	if head.StreamID != 0 {
		title += fmt.Sprintf(", stream %d", head.StreamID)
	}
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return []string{title + ", acknowledged"}
		}
		lines := []string{title}
		_ = f.ForeachSetting(func(s http2.Setting) error {
			lines = append(lines, "  "+s.String())
			return nil
		})
		return lines
	case *http2.WindowUpdateFrame:
		return []string{fmt.Sprintf("%s, %d", title, f.Increment)}
	case *http2.MetaHeadersFrame:
		lines := []string{title + ends(f.StreamEnded())}
		for _, field := range f.Fields {
			lines = append(lines, "  "+field.Name+": "+field.Value)
		}
		return lines
	case *http2.DataFrame:
		lines := []string{fmt.Sprintf("%s, %d bytes%s", title, len(f.Data()), ends(f.StreamEnded()))}
		if text := strings.TrimSuffix(string(f.Data()), "\n"); text != "" {
			lines = append(lines, "  "+strings.ReplaceAll(text, "\n", "\n  "))
		}
		return lines
	case *http2.GoAwayFrame:
		return []string{fmt.Sprintf("%s, %v", title, f.ErrCode)}
	case *http2.RSTStreamFrame:
		return []string{fmt.Sprintf("%s, %v", title, f.ErrCode)}
	}
	return []string{title}
}

func ends(end bool) string {
	if end {
		return ", the last"
	}
	return ""
}
