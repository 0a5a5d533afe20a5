package ads

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	maxMetadata      = 64 << 10 // bytes of one descriptor's
	maxMetadataDepth = 50
)

// flow is a google.protobuf.Struct as YAML, in one line.
func flow(b []byte) (string, error) {
	if len(b) > maxMetadata {
		return "", fmt.Errorf("it has %d bytes, more than %d", len(b), maxMetadata)
	}
	var s structpb.Struct
	if err := (proto.UnmarshalOptions{RecursionLimit: 3 * maxMetadataDepth}).Unmarshal(b, &s); err != nil {
		return "", fmt.Errorf("it is no google.protobuf.Struct, or nests deeper than %d", maxMetadataDepth)
	}
	return flowMap(&s), nil
}

func flowMap(s *structpb.Struct) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(s.GetFields())) {
		all = append(all, strconv.QuoteToASCII(key)+": "+flowValue(s.GetFields()[key]))
	}
	return "{" + strings.Join(all, ", ") + "}"
}

func flowValue(v *structpb.Value) string {
	switch k := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		return strconv.QuoteToASCII(k.StringValue)
	case *structpb.Value_BoolValue:
		return strconv.FormatBool(k.BoolValue)
	case *structpb.Value_NumberValue:
		return flowNumber(k.NumberValue)
	case *structpb.Value_StructValue:
		return flowMap(k.StructValue)
	case *structpb.Value_ListValue:
		var all []string
		for _, item := range k.ListValue.GetValues() {
			all = append(all, flowValue(item))
		}
		return "[" + strings.Join(all, ", ") + "]"
	}
	return "null"
}

// flowNumber is a number as YAML has it: whole ones without a point.
func flowNumber(n float64) string {
	switch {
	case math.IsNaN(n):
		return ".nan"
	case math.IsInf(n, 1):
		return ".inf"
	case math.IsInf(n, -1):
		return "-.inf"
	case n == math.Trunc(n) && math.Abs(n) < 1<<53:
		return strconv.FormatInt(int64(n), 10)
	}
	return strconv.FormatFloat(n, 'e', -1, 64)
}
