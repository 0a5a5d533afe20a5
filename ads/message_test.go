package ads

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weir-rls/weir/descriptors"
)

// message is a message by the numbers of its fields, in order: a string or a message is
// bytes, anything else a number.
func message(fields ...any) []byte {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		n := protowire.Number(fields[i].(int))
		switch v := fields[i+1].(type) {
		case string:
			b = protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), v)
		case []byte:
			b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
		case int:
			b = protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), uint64(v))
		}
	}
	return b
}

func written(t *testing.T, b []byte) string {
	t.Helper()
	w := writer{most: maxWritten}
	if err := w.config(b); err != nil {
		t.Fatal(err)
	}
	return string(w.out)
}

// The numbers are those of the reference service's newest message.
func TestEveryFieldOfTheMessageIsWrittenAsARuleFileHasIt(t *testing.T) {
	meta, err := structpb.NewStruct(map[string]any{"tier": "go\"ld", "list": []any{1, 2.5, true, nil}, "in": map[string]any{"a:": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	metadata, err := proto.Marshal(meta)
	if err != nil {
		t.Fatal(err)
	}
	policy := message(1, 2, 2, 7, 4, "per-user", 5, message(1, "other"), 5, message(1, "third"))
	got := written(t, message(1, "its name", 2, "shop",
		3, message(1, "user", 2, "ann\u2028: #", 3, policy, 5, 1, 6, 1, 7, 1, 8, metadata,
			4, message(1, "path", 3, message(3, 1)),
			4, message(1, "all", 3, message(1, 7, 2, 1)),
			4, message(1, "none", 3, message(1, 1))),
		3, message()))
	want := `domain: "shop"
descriptors:
- key: "user"
  value: "ann\u2028: #"
  rate_limit:
    unit: minute
    requests_per_unit: 7
    name: "per-user"
    replaces:
    - name: "other"
    - name: "third"
  descriptors:
  - key: "path"
    rate_limit:
      unlimited: true
  - key: "all"
    rate_limit:
      unit: week
      requests_per_unit: 1
  - key: "none"
    rate_limit:
      unit: second
      requests_per_unit: 0
  shadow_mode: true
  detailed_metric: true
  quota_mode: true
  metadata: {"in": {"a:": "b"}, "list": [1, 2.5e+00, true, null], "tier": "go\"ld"}
- {}
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for n, word := range []string{1: "second", 2: "minute", 3: "hour", 4: "day", 5: "month", 6: "year", 7: "week", 8: "8"} {
		if n > 0 && unitWord(uint64(n)) != word {
			t.Errorf("unit %d is %s, want %s", n, unitWord(uint64(n)), word)
		}
	}
}

// What stands in a message twice counts as protobuf says: the last text, and both messages
// joined.
func TestFieldsThatStandTwiceAreJoinedAsProtobufDoes(t *testing.T) {
	got := written(t, message(2, "a", 2, "b", 3, message(1, "k", 3, message(1, 2), 3, message(2, 5))))
	if want := "domain: \"b\"\ndescriptors:\n- key: \"k\"\n  rate_limit:\n    unit: minute\n    requests_per_unit: 5\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func resourceOf(b []byte) *anypb.Any { return &anypb.Any{TypeUrl: TypeURL, Value: b} }

// loaded is what a source has after it was given resources, and the errors and warnings.
func loaded(t *testing.T, resources ...*anypb.Any) (*descriptors.Rules, string) {
	t.Helper()
	s := descriptors.NewSource("", descriptors.Options{})
	report := s.Replace(given(resources))
	var faults []string
	for _, f := range report.Faults {
		faults = append(faults, f.Error())
	}
	return s.Rules(), strings.Join(faults, "\n")
}

// A rule file's mistake is told where the control plane's author finds it: by the resource,
// the path to the descriptor and its key.
func TestFaultsNameTheResourceAndThePath(t *testing.T) {
	limit := message(1, 2, 2, 5)
	for want, descriptor := range map[string][]byte{
		`resource "r": descriptors[1]("k").rate_limit: error: the rate_limit has no unit`:                                         message(1, "k", 3, message(2, 5)),
		`resource "r": descriptors[1]("k").rate_limit.unit: error: unit cannot be the number 9`:                                   message(1, "k", 3, message(1, 9)),
		`resource "r": descriptors[1]("k").descriptors[1]("in").rate_limit.field_6: error: unknown field "field_6" in rate_limit`: message(1, "k", 4, message(1, "x", 3, limit), 4, message(1, "in", 3, message(1, 2, 2, 1, 6, 3))),
		`resource "r": descriptors[1]("k").rate_limit.replaces[0]("n").name: error: the limit "n" replaces itself`:                message(1, "k", 3, message(1, 2, 2, 1, 4, "n", 5, message(1, "n"))),
		`resource "r": descriptors[1]("k").rate_limit.replaces[1]: error: an entry of replaces is empty`:                          message(1, "k", 3, message(1, 2, 2, 1, 5, message(1, "n"), 5, message())),
		`resource "r": descriptors[1]: error: `:                                                                                     message(3, limit),
		`here a second time, first at resource "r": descriptors[0]("first")`:                                                        message(1, "first", 3, limit),
		`resource "r": error: cannot be read: descriptors: [1]: rate_limit: requests_per_unit has the wire type 2, not 0`:           message(1, "k", 3, message(2, "5")),
		`resource "r": error: cannot be read: descriptors: [1]: key is not UTF-8`:                                                   message(1, "\xff"),
		`resource "r": error: cannot be read: descriptors: [1]: metadata: it is no google.protobuf.Struct, or nests deeper than 50`: message(1, "k", 8, "\xff"),
		`resource "r": error: cannot be read: descriptors: [1]: field 1 ends too early: unexpected EOF`:                             {1<<3 | 2, 200},
		`resource "r": descriptors[1]("k\x1b[31m").rate_limit.unit: error: `:                                                        message(1, "k\x1b[31m", 3, message(1, 9)),
	} {
		rules, got := loaded(t, resourceOf(message(1, "r", 2, "d", 3, message(1, "first", 3, limit), 3, descriptor)), resourceOf(message(1, "s", 2, "e", 3, message(1, "k", 3, limit))))
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if rules == nil || strings.Join(rules.Domains(), " ") != "e" {
			t.Errorf("%s: the other resource's domain is not in force", want)
		}
	}
}

func TestResourcesThatNobodyCanUseAreToldOneByOne(t *testing.T) {
	good := message(1, "g", 2, "d", 3, message(1, "k", 3, message(1, 2, 2, 5)))
	outer := message(3, "outer", 2, message(1, TypeURL, 2, message(2, "e", 3, message(1, "k", 3, message(1, 2, 2, 5)))))
	rules, got := loaded(t, resourceOf(good), resourceOf(message(1, "again", 2, "d")), resourceOf(good),
		&anypb.Any{TypeUrl: "type.googleapis.com/some.Cluster", Value: good}, &anypb.Any{TypeUrl: wrapped, Value: outer}, resourceOf([]byte{0xff}), resourceOf(nil))
	for _, want := range []string{
		`resource "g": domain: error: the domain "d" is also that of resource "again": domain`,
		`resource "g" (2): domain: error: the domain "d" is also that of resource "again": domain`,
		`resource "g" (3): error: cannot be read: its type is "type.googleapis.com/some.Cluster", not type.googleapis.com/ratelimit.config.ratelimit.v3.RateLimitConfig`,
		`resource 5: error: cannot be read: it is no message`,
		`resource 6: the message: error: the file is empty`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	if strings.Join(rules.Domains(), " ") != "e" {
		t.Errorf("the domains %v are in force", rules.Domains())
	}
}

// A few bytes of a message can be a line of a rule file, and nest as deep as they like.
func TestWhatAMessageBecomesIsBounded(t *testing.T) {
	deep := message(1, "k")
	for range 1000 {
		deep = message(1, "k", 4, deep)
	}
	deep = message(1, "r", 2, "d", 3, deep)
	if _, got := loaded(t, resourceOf(deep)); !strings.Contains(got, "descriptors nest deeper than 100") {
		t.Errorf("deep: %.300s", got)
	}
	if size := len(written(t, deep)); size > 100_000 {
		t.Errorf("deep: %d bytes are written of %d", size, len(deep))
	}
	wide := resourceOf(message(2, "d", 3, message(), 3, message()))
	size := len(written(t, wide.GetValue()))
	for used := range 4 {
		files, _ := givenWithin([]*anypb.Any{wide, wide, wide}, used*size+size/2)
		for i, f := range files {
			if refused := strings.Contains(f.Unread, "more than"); refused != (i >= used) {
				t.Errorf("with room for %d files the one at %d is refused: %v", used, i, refused)
			}
		}
	}
}

// The modules that register an older message of the same name end the process if it is
// registered twice: partstest's control plane, in this binary, does so.
func TestTheMessageIsNotRegisteredByWeir(t *testing.T) {
	found, err := protoregistry.GlobalTypes.FindMessageByURL(TypeURL)
	if err != nil {
		t.Fatal(err) // then this test binary no longer holds what it could clash with
	}
	if d := found.Descriptor(); d.Fields().ByNumber(1) == nil || d.ParentFile().Path() != "ratelimit/config/ratelimit/v3/rls_conf.proto" {
		t.Errorf("the message that is registered is that of %s", d.ParentFile().Path())
	}
}
