// Package stage is what the examples share. It runs an example's Envoy file and
// rules with the real Envoy, weir and, if asked, Redis on loopback ports, lets
// the example tell its story, and stops everything.
//
// An example is a folder with README.md, rules.yaml (or rules/), envoy.yaml and
// docker-compose.yaml, a main.go
//
//	func main() { stage.Main(example()) }
//
//	func example() stage.Example {
//		backend := &backend{}
//		return stage.Example{
//			Name:      "llm-gateway",
//			Title:     "an LLM gateway",
//			Upstreams: []stage.Upstream{{Cluster: "upstream", Handler: backend}},
//			Weir:      []string{"--headers", "draft10"},
//			Story:     func(ctx context.Context, s *stage.Stage) error { ... s.Send(...) ... s.Screen.Tally(...) ... },
//			Invite:    func(s *stage.Stage) []string { return []string{"curl -i " + s.Front("front") + "/"} },
//		}
//	}
//
// and a test, which package stagetest helps with:
//
//	func TestMain(m *testing.M) { stagetest.Main(m) }
//	func TestStory(t *testing.T) { stagetest.Story(t, example) }
//	func TestCompose(t *testing.T) { stagetest.Compose(t, example, "docker-compose.yaml") }
//	func TestW02_...(t *testing.T) { stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) { ... }) }
//
// An example of weir in the place of envoyproxy/ratelimit has manifests in place of
// rules.yaml and docker-compose.yaml, and a Platform in its main.go.
//
// With the memory store there is one weir and one Envoy; with Redis there are two
// of each. Envoy's file is written for docker-compose.yaml, with the names of its
// services: the stage changes addresses alone, those of the cluster weir to the
// replicas, those of a cluster that an [Upstream] names to its servers, and those
// of listeners and the admin interface to loopback.
package stage
