package kafka

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// What a broker sends can be anything.
func FuzzAnswer(f *testing.F) {
	answers := []kmsg.Response{
		&kmsg.ApiVersionsResponse{}, &kmsg.MetadataResponse{Version: 9}, &kmsg.FindCoordinatorResponse{Version: 3}, &kmsg.OffsetFetchResponse{Version: 7},
		&kmsg.ListOffsetsResponse{Version: 6}, &kmsg.DescribeGroupsResponse{Version: 5}, &kmsg.ConsumerGroupDescribeResponse{Version: 1},
		&kmsg.SASLHandshakeResponse{Version: 1}, &kmsg.SASLAuthenticateResponse{Version: 2},
	}
	for i, answer := range answers {
		payload := []byte{0, 0, 0, 1}
		if answer.IsFlexible() {
			payload = append(payload, 0)
		}
		payload = answer.AppendTo(payload)
		f.Add(i, append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...))
	}
	f.Fuzz(func(t *testing.T, i int, frame []byte) {
		if i < 0 || i >= len(answers) {
			return
		}
		payload, err := readFrame(bytes.NewReader(frame), 1)
		if err != nil {
			return
		}
		if len(payload)+8 > len(frame) {
			t.Fatalf("%d bytes out of %d", len(payload), len(frame))
		}
		_ = decode(answers[i], payload)
	})
}
