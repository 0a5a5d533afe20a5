package migrate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/descriptors"
)

// Options are how rules are rewritten.
type Options struct {
	KeepWindows  bool // fixed windows stay such, cut at the same moments
	MergeDomains bool // several files may state one domain
	Shadow       bool // every limit gets shadow_mode
	Quota        bool // every limit gets quota_mode
}

// File is the rules of one domain in weir's own form.
type File struct {
	Name    string // made of the domain, ends in .yaml
	Sources []string
	Content []byte
}

// Result is what became of rule files.
type Result struct {
	Files   []File
	Limits  int      // how many limits they state
	Changes []Change // in a fixed order, those that occur
}

// Change is something that is otherwise under weir serve, of so many limits.
type Change struct {
	Count int
	Text  string
}

// Rules rewrites rule files. Its faults are those of the files, and notes on what rules no
// longer meet; with an error among them there is no result.
func Rules(paths []string, o Options) (Result, descriptors.Faults) {
	paths = slices.Clone(paths)
	slices.Sort(paths)
	_, faults := descriptors.Load(paths, descriptors.Options{MergeDomains: o.MergeDomains, Dialect: descriptors.Reference})
	if faults.Failed() {
		return Result{}, faults
	}
	// What else there is to tell is told of what is written: much of it is put right.
	faults = slices.DeleteFunc(faults, func(f descriptors.Fault) bool { return f.Severity == descriptors.Warning })
	m := migration{options: o, faults: faults, counts: map[change]int{}}
	for _, path := range paths {
		doc, fault := descriptors.ReadDocument(path)
		if fault != nil {
			return Result{}, append(faults, *fault)
		}
		m.read(doc)
	}
	result := m.write()
	if m.faults = m.faults.Tidy(); m.faults.Failed() {
		return Result{}, m.faults
	}
	return result, append(m.faults, loads(result.Files)...)
}

// loads tells the faults of what was written. An error is one of this package, or of a
// bound that files of the reference do not have.
func loads(files []File) descriptors.Faults {
	var given []descriptors.Given
	for _, f := range files {
		given = append(given, descriptors.Given{Name: f.Name, Content: f.Content})
	}
	return descriptors.NewSource("", descriptors.Options{}).Replace(given, true).Faults
}

// migration is one run of [Rules].
type migration struct {
	options Options
	domains []*domain
	faults  descriptors.Faults
	limits  int
	counts  map[change]int
}

// domain is one that is rewritten, of one file or several.
type domain struct {
	name    string
	root    *yaml.Node
	sources []string
	rules   []rule
	names   names
	keys    []string // see keysOf
}

// rule is a descriptor, and the file that states it.
type rule struct {
	*yaml.Node
	doc *descriptors.Document
}

func (r rule) below() (rules []rule) {
	for _, n := range items(r.Node, "descriptors") {
		rules = append(rules, rule{n, r.doc})
	}
	return rules
}

// joined is a rule as the reference names it.
func (r rule) joined() string {
	if value := text(r.Node, "value"); value != "" {
		return text(r.Node, "key") + "_" + value
	}
	return text(r.Node, "key")
}

// read adds a file to its domain.
func (m *migration) read(doc *descriptors.Document) {
	root := plain(doc.Roots[0])
	name := text(root, "domain")
	of := rule{root, doc}
	i := slices.IndexFunc(m.domains, func(d *domain) bool { return d.name == name })
	if i < 0 {
		m.domains = append(m.domains, &domain{name: name, root: root, sources: []string{doc.Name()}, rules: of.below()})
		return
	}
	d := m.domains[i]
	for key := range fields(root) {
		if key.Value != "domain" && key.Value != "descriptors" {
			m.tell(rule{key, doc}, descriptors.Error, "another file states this domain too, and "+key.Value+" cannot be joined with what it says", "move it into the first file of the domain")
		}
	}
	for j, r := range of.below() {
		if j == 0 {
			comment(r.Node, fmt.Sprintf("# from %q", doc.Name()))
		}
		d.rules = append(d.rules, r)
	}
	d.sources = append(d.sources, doc.Name())
}

func (m *migration) tell(r rule, s descriptors.Severity, message, remedy string) {
	if f, told := r.doc.Tell(r.Node, s, "", message, remedy); told {
		m.faults = append(m.faults, f)
	}
}

// write rewrites all domains.
func (m *migration) write() (r Result) {
	taken := map[string]int{}
	for _, d := range m.domains {
		d.names, d.keys = d.named(), keysOf(d.rules)
		m.level(d, d.rules, "")
		d.list(d.root, d.rules)
		quote(field(d.root, "domain"))
		content, err := yaml.Dump(d.root, yaml.WithIndent(2), yaml.WithLineWidth(160))
		if err != nil {
			m.tell(rule{d.root, d.rules[0].doc}, descriptors.Error, "the rules cannot be written: "+err.Error(), "")
			continue
		}
		r.Files = append(r.Files, File{fileName(d.name, taken), d.sources, content})
	}
	r.Limits = m.limits
	for c := range changes {
		if n := m.counts[change(c)]; n > 0 {
			r.Changes = append(r.Changes, Change{n, changes[c]})
		}
	}
	return r
}

// list has a mapping state rules as its descriptors.
func (d *domain) list(n *yaml.Node, rules []rule) {
	if len(rules) == 0 {
		return
	}
	list := sequence()
	if stated := field(n, "descriptors"); stated != nil {
		list = stated
	}
	list.Style &^= yaml.FlowStyle // which has no room for comments
	n.Style &^= yaml.FlowStyle
	list.Content = nil
	for _, r := range rules {
		list.Content = append(list.Content, r.Node)
	}
	put(n, "descriptors", list)
}

// fileName is a name of a file of the domain's rules that none of taken has.
func fileName(domain string, taken map[string]int) string {
	name := strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '-' || r == '_' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return r
		}
		return '_'
	}, domain)
	if name = name[:min(len(name), 100)]; strings.HasPrefix(name, ".") {
		name = "_" + name[1:]
	}
	same := strings.ToLower(name) // to some file systems it is
	if taken[same]++; taken[same] > 1 {
		return fileName(fmt.Sprintf("%s-%d", name, taken[same]), taken)
	}
	return name + ".yaml"
}

// level rewrites the rules of one level, to which way leads.
func (m *migration) level(d *domain, rules []rule, way string) {
	for _, r := range rules {
		m.apart(r, d.keys)
		below := r.below()
		m.level(d, below, wayTo(way, r.Node))
		d.list(r.Node, below)
		for _, name := range []string{"key", "value"} {
			quote(field(r.Node, name))
		}
		if text(r.Node, "value") == "" {
			drop(r.Node, "value")
		}
		for _, name := range []string{"shadow_mode", "quota_mode", "detailed_metric", "value_to_metric", "share_threshold"} {
			truth(field(r.Node, name))
		}
		if limit := field(r.Node, "rate_limit"); limit != nil {
			m.limit(d, r, limit)
		}
	}
}

// wayTo is how limits of a rule are called that have no name.
func wayTo(way string, r *yaml.Node) string {
	step := text(r, "key")
	if value := text(r, "value"); value != "" {
		step += "=" + value
	}
	if way == "" {
		return step
	}
	return way + "/" + step
}

// names are those that limits get, which are unique in a domain of weir, by what the
// files say.
type names struct {
	of    map[*yaml.Node]string // by rate_limit
	after map[string][]string   // by the name of before
}

// named gives each limit its name: the first of a name keeps it.
func (d *domain) named() names {
	n := names{map[*yaml.Node]string{}, map[string][]string{}}
	taken := map[string]bool{descriptors.OverrideName: true}
	var stated []*yaml.Node
	var find func(rules []rule, way string)
	find = func(rules []rule, way string) {
		for _, r := range rules {
			way := wayTo(way, r.Node)
			limit := field(r.Node, "rate_limit")
			switch {
			case limit == nil || text(limit, "name") == "":
				taken[way] = true
			case truth(field(limit, "unlimited")):
				n.called(text(limit, "name"), text(limit, "name"))
			default:
				stated = append(stated, limit)
			}
			for _, own := range items(r.Node, "limits") {
				taken[cmp.Or(text(own, "name"), way)] = true
				n.called(text(own, "name"), text(own, "name"))
			}
			find(r.below(), way)
		}
	}
	find(d.rules, "")
	for _, limit := range stated {
		before := text(limit, "name")
		name := before
		for i := 2; taken[name]; i++ {
			more := fmt.Sprintf("-%d", i)
			name = strings.ToValidUTF8(before[:min(len(before), longestName-len(more))], "") + more
		}
		taken[name] = true
		n.of[limit] = name
		n.called(before, name)
	}
	return n
}

// longestName is the most bytes that a limit's name may have.
const longestName = 200

func (n names) called(before, name string) {
	if before != "" && !slices.Contains(n.after[before], name) {
		n.after[before] = append(n.after[before], name)
	}
}
