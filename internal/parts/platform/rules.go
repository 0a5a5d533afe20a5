package platform

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	rules "github.com/envoyproxy/go-control-plane/ratelimit/config/ratelimit/v3"
	"go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// descriptor is one of a rule file, as far as a control plane can send it.
type descriptor struct {
	Key, Value string
	RateLimit  *struct {
		Unit            string
		RequestsPerUnit uint32 `yaml:"requests_per_unit"`
		Unlimited       bool
		Name            string
	} `yaml:"rate_limit"`
	Descriptors    []descriptor
	ShadowMode     bool `yaml:"shadow_mode"`
	DetailedMetric bool `yaml:"detailed_metric"`
	QuotaMode      bool `yaml:"quota_mode"`
	Metadata       map[string]any
}

// ParseRules reads rules that a control plane sends, as YAML documents of the form that rule
// files have.
func ParseRules(text []byte) ([]*rules.RateLimitConfig, error) {
	var all []*rules.RateLimitConfig
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	for {
		var document struct {
			Name, Domain string
			Descriptors  []descriptor
		}
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("rules: %w", err)
		}
		var err error
		config := &rules.RateLimitConfig{Name: document.Name, Domain: document.Domain}
		if config.Descriptors, err = messages(document.Descriptors); err != nil {
			return nil, fmt.Errorf("rules of %s: %w", document.Domain, err)
		}
		all = append(all, config)
	}
}

// Numbers of fields that the published message does not have, and the enum's words, of which
// it does not have all.
const (
	quotaModeField = 7
	metadataField  = 8
)

var units = []string{"", "SECOND", "MINUTE", "HOUR", "DAY", "MONTH", "YEAR", "WEEK"}

func messages(all []descriptor) (made []*rules.RateLimitDescriptor, err error) {
	for _, d := range all {
		m := &rules.RateLimitDescriptor{Key: d.Key, Value: d.Value, ShadowMode: d.ShadowMode, DetailedMetric: d.DetailedMetric}
		if l := d.RateLimit; l != nil {
			unit := rules.RateLimitUnit(slices.Index(units, strings.ToUpper(l.Unit)))
			m.RateLimit = &rules.RateLimitPolicy{Unit: unit, RequestsPerUnit: l.RequestsPerUnit, Unlimited: l.Unlimited, Name: l.Name}
		}
		var more []byte
		if d.QuotaMode {
			more = protowire.AppendVarint(protowire.AppendTag(more, quotaModeField, protowire.VarintType), 1)
		}
		if len(d.Metadata) > 0 {
			fields, err := structpb.NewStruct(d.Metadata)
			if err != nil {
				return nil, err
			}
			raw, err := proto.Marshal(fields)
			if err != nil {
				return nil, err
			}
			more = protowire.AppendBytes(protowire.AppendTag(more, metadataField, protowire.BytesType), raw)
		}
		m.ProtoReflect().SetUnknown(more)
		if m.Descriptors, err = messages(d.Descriptors); err != nil {
			return nil, err
		}
		made = append(made, m)
	}
	return made, nil
}
