package redis_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/buckets/storetest"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// leastRights are the rules of the user weir as docs/how-to/redis.md has them.
func leastRights(t *testing.T) (rules []any) {
	t.Helper()
	page, err := os.ReadFile("../../docs/how-to/redis.md")
	must(t, err)
	line := regexp.MustCompile(`(?ms)^ACL SETUSER weir (.*?)\n` + "```").FindStringSubmatch(string(page))
	if line == nil {
		t.Fatal("docs/how-to/redis.md has no line ACL SETUSER weir")
	}
	for _, rule := range strings.Fields(strings.ReplaceAll(line[1], "\\\n", " ")) {
		rules = append(rules, rule)
	}
	return rules
}

// allow makes the user weir, with the password PASSWORD, anew.
func allow(t testing.TB, admin *goredis.Client, rules ...any) {
	t.Helper()
	must(t, admin.Do(t.Context(), append([]any{"acl", "setuser", "weir", "reset"}, rules...)...).Err())
}

// asWeir is the URL of a server for the user weir.
func asWeir(server *parts.Redis, parameters string) string {
	return "redis://weir:PASSWORD@" + server.Addr + parameters
}

// everything does once all that weir asks of a Redis.
func everything(t *testing.T, s *redis.Store) error {
	ctx, errs := t.Context(), []error{s.Probe(t.Context())}
	take := func(charges ...buckets.Charge) {
		o, err := s.Take(ctx, charges)
		if err == nil && !slices.ContainsFunc(charges, func(c buckets.Charge) bool { return c.Mode == buckets.Refund }) && !o[0].Admitted {
			err = fmt.Errorf("%s was refused", charges[0].Key)
		}
		errs = append(errs, err)
	}
	for _, e := range examples(t) {
		e.charge.Key = "{r}" + e.name
		e.charge.Cost = 1
		if e.name != "initial empty" {
			take(e.charge)
		}
		if e.name == "open breaker" || e.name == "breaker" {
			continue
		}
		e.charge.Mode = buckets.Refund
		take(e.charge)
	}
	two := buckets.Charge{Key: "{r}two", Bucket: slow(t), Cost: 1}
	take(two, buckets.Charge{Key: "{r}more", Bucket: slow(t), Cost: 1}) // MGET
	slots := buckets.Charge{Key: "{r}slots", Bucket: buckets.Slots{Count: 3, TTL: 60_000_000}, Cost: 1, Lease: "a"}
	other := slots
	other.Lease = "b"
	take(slots)
	take(other)
	slots.Mode = buckets.Refund
	take(slots) // one is left: ZREM
	_, err := s.Alive(ctx, "replica")
	errs = append(errs, err)
	_, err = s.Tally(ctx, "t", []int64{1})
	errs = append(errs, err)
	_, err = s.Agree(ctx, "weir:receipt-key", []byte("k"))
	errs = append(errs, err)
	_, err = s.Eviction(ctx)
	errs = append(errs, err, s.Forget(ctx, []string{"{r}two"}), records(t, s.Records("weir:live")))
	return errors.Join(errs...)
}

func records(t *testing.T, r *redis.Records) error {
	version, all, err := r.Read(t.Context())
	if err != nil {
		return err
	}
	_ = all
	version, written, err := r.Write(t.Context(), version, map[string][]byte{"a": []byte("1")}, []string{"b"}, []byte("note"))
	if err != nil || !written {
		return fmt.Errorf("written %v: %w", written, err)
	}
	if got, err := r.Version(t.Context()); err != nil || got != version {
		return fmt.Errorf("version %d: %w", got, err)
	}
	_, err = r.Notes(t.Context(), 1)
	return err
}

// The rights that the manual asks for are enough, and none is too much.
func TestRightsInTheManualAreWhatIsNeeded(t *testing.T) {
	rules := leastRights(t)
	for _, part := range servers {
		t.Run(part.String(), func(t *testing.T) {
			server := partstest.Redis(t, part)
			admin := partstest.Admin(t, server)
			allow(t, admin, rules...)
			if err := everything(t, open(t, asWeir(server, ""))); err != nil {
				t.Fatal(err)
			}
			for _, rule := range rules {
				if !strings.HasPrefix(rule.(string), "+") && !strings.HasPrefix(rule.(string), "~") || rule == "+evalsha" { // see TestScriptsAreSentWholeWhereDigestsAreForbidden
					continue
				}
				must(t, admin.FlushAll(t.Context()).Err())
				must(t, admin.ScriptFlush(t.Context()).Err())
				allow(t, admin, slices.DeleteFunc(slices.Clone(rules), func(r any) bool { return r == rule })...)
				if err := everything(t, open(t, asWeir(server, ""))); err == nil {
					t.Errorf("%s is not needed", rule)
				}
			}
		})
	}
}

// A user with these rights judges as any other.
func TestLeastRightsConform(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer)
	admin := partstest.Admin(t, server)
	allow(t, admin, append(leastRights(t), "+pttl", "~*")...) // the clock of tests and the keys of the suite
	storetest.Run(t, storetest.Subject{
		Brief: true,
		Open: func(tb testing.TB, n int, clock *storetest.Clock) (stores []buckets.Store) {
			must(tb, admin.FlushAll(tb.Context()).Err())
			for range n {
				s := open(tb, asWeir(server, ""))
				if clock != nil {
					s.SetNow(clock.Micros)
				}
				stores = append(stores, s)
			}
			return stores
		},
	})
}

// What the manual says that a Cluster needs beside, it needs.
func TestRightsInACluster(t *testing.T) {
	nodes := partstest.Cluster(t, parts.RedisServer, 3, 0)
	for _, more := range [][]any{{"+cluster|slots", "+asking"}, {"+asking"}} {
		for _, node := range nodes {
			allow(t, partstest.Admin(t, node), append(leastRights(t), more...)...)
		}
		url := strings.Replace(clusterURL(nodes), "redis://", "redis://weir:PASSWORD@", 1)
		if err := everything(t, open(t, url)); (err == nil) != (len(more) == 2) {
			t.Errorf("with %v: %v", more, err)
		}
	}
	admin := partstest.Admin(t, nodes[0])
	allow(t, admin, leastRights(t)...)
	if answer := admin.Do(t.Context(), "acl", "dryrun", "weir", "asking").Val(); answer == "OK" {
		t.Error("+asking is not needed")
	}
}

// A stream of events is the only thing beside that has a name of the operator's.
func TestRightsForTheStream(t *testing.T) {
	onServers(t, func(t *testing.T, s *redis.Store, admin *goredis.Client) {
		allow(t, admin, append(leastRights(t), "~events", "+xadd")...)
		weir := open(t, "redis://weir:PASSWORD@"+admin.Options().Addr)
		if err := weir.Append(t.Context(), "events", map[string]string{"a": "b"}); err != nil {
			t.Error(err)
		}
		allow(t, admin, leastRights(t)...)
		if err := weir.Append(t.Context(), "events", map[string]string{"a": "b"}); !goredis.IsPermissionError(err) {
			t.Errorf("%v, want NOPERM", err)
		}
	})
}

// A user who may not use EVALSHA is found out once: scripts are sent whole from then on,
// each call once.
func TestScriptsAreSentWholeWhereDigestsAreForbidden(t *testing.T) {
	rules := leastRights(t)
	rules = slices.DeleteFunc(rules, func(r any) bool { return r == "+evalsha" })
	for _, part := range servers {
		t.Run(part.String(), func(t *testing.T) {
			server := partstest.Redis(t, part)
			admin := partstest.Admin(t, server)
			allow(t, admin, rules...)
			s := open(t, asWeir(server, ""))
			if err := everything(t, s); err != nil {
				t.Fatal(err)
			}
			must(t, admin.ConfigResetStat(t.Context()).Err())
			var all [][]buckets.Charge
			for i := range 50 { // of many slots, so in a pipeline
				all = append(all, []buckets.Charge{{Key: manyKeys(50)[i], Bucket: slow(t), Cost: 100}})
			}
			for _, want := range []bool{true, false} { // each has 100 tokens, once
				outcomes, errs := s.TakeTogether(t.Context(), all)
				for i := range all {
					if errs[i] != nil || outcomes[i][0].Admitted != want {
						t.Fatalf("%+v, %v, want admitted %v", outcomes[i], errs[i], want)
					}
				}
			}
			must(t, func() error { _, err := s.Alive(t.Context(), "r"); return err }())
			stats := admin.Info(t.Context(), "commandstats").Val()
			if strings.Contains(stats, "cmdstat_evalsha") || !strings.Contains(stats, "cmdstat_eval:calls=101,") {
				t.Errorf("want 101 EVAL and no EVALSHA, got %s", stats)
			}
		})
	}
}

// An error of rights from within a script is no refusal to call it: what the script did
// before stays, and it is not called again.
func TestAScriptThatMayNotIsNotCalledAgain(t *testing.T) {
	rules := slices.DeleteFunc(leastRights(t), func(r any) bool { return r == "+pexpire" })
	onServers(t, func(t *testing.T, _ *redis.Store, admin *goredis.Client) {
		allow(t, admin, rules...)
		s := open(t, "redis://weir:PASSWORD@"+admin.Options().Addr)
		for range 2 {
			if _, err := s.Tally(t.Context(), "t", []int64{1}); err == nil {
				t.Fatal("PEXPIRE was allowed")
			}
		}
		if n := admin.HGet(t.Context(), "{weir.tally}/t", "1").Val(); n != "2" {
			t.Errorf("two calls added %s", n)
		}
	})
}
