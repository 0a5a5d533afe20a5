package descriptors

import (
	"slices"
	"strings"
	"time"
)

// keptOutline is the whole outline that was made last: to make it takes long, and who looks
// at one page of it looks at others.
type keptOutline struct {
	of     *Rules // that it tells of
	whole  *Outline
	forget *time.Timer
}

// outlineKept is how long an outline is kept that nobody looks at: it needs as much memory
// as the rules.
const outlineKept = 2 * time.Minute

// Outline is the tree of a domain's rules: those in whose key, value or limits' names a
// text is found whatever its case, with those above and below them; all if it is empty.
// It shows at most so many: the uppermost ones, or of a search those that it finds first;
// and nothing of a domain that there is not.
func (s *Source) Outline(domain, search string, most int) (o Outline, known bool) {
	whole := s.outline(domain)
	if whole == nil {
		return Outline{}, false
	}
	o = *whole
	p := picker{search: strings.ToLower(search), room: most}
	all, _ := p.filter(whole.Rules, search == "")
	if search == "" {
		o.Rules = p.uppermost(all)
	} else {
		o.Rules = p.first(all)
	}
	o.Total, o.Found, o.Shown = p.total, p.found, p.shown
	return o, true
}

// outline is the whole outline of a domain as its rules are now, kept or made: by one
// caller at a time.
func (s *Source) outline(domain string) *Outline {
	s.outlining.Lock()
	defer s.outlining.Unlock()
	kept := &s.outlined
	if now := s.Rules(); kept.whole == nil || kept.of != now || kept.whole.Domain != domain {
		kept.of, kept.whole = now, s.wholeOutline(domain)
	}
	if kept.forget == nil {
		kept.forget = time.AfterFunc(outlineKept, s.forgetOutline)
	} else {
		kept.forget.Reset(outlineKept)
	}
	return kept.whole
}

func (s *Source) forgetOutline() {
	s.outlining.Lock()
	defer s.outlining.Unlock()
	s.outlined.of, s.outlined.whole = nil, nil
}

// picker picks rules of an outline.
type picker struct {
	search              string
	room                int // for how many rules more there is
	total, found, shown int
}

// picked is a rule that was found, or leads to one.
type picked struct {
	rule  *OutlinedRule
	own   bool // it was found itself
	below []picked
	size  int // how many are below it
}

// filter finds the rules of a list, all of them where one above was found.
func (p *picker) filter(list []OutlinedRule, found bool) (all []picked, size int) {
	for i := range list {
		r := &list[i]
		p.total++
		own := found || p.finds(r)
		if own {
			p.found++
		}
		below, n := p.filter(r.Rules, own)
		if own || len(below) > 0 {
			all = append(all, picked{r, own, below, n})
			size += n + 1
		}
	}
	return all, size
}

func (p *picker) finds(r *OutlinedRule) bool {
	has := func(text string) bool { return strings.Contains(strings.ToLower(text), p.search) }
	if has(r.Key) || r.Value != "" && !r.hidden && (has(r.Value) || has(r.Key+"="+r.Value)) {
		return true
	}
	return slices.ContainsFunc(r.Limits, func(l OutlinedLimit) bool { return has(l.Name) })
}

// take is a rule, without those below it.
func (p *picker) take(one *picked) OutlinedRule {
	p.room--
	if one.own {
		p.shown++
	}
	r := *one.rule
	r.Rules, r.Below = nil, one.size
	return r
}

// first takes rules in their order, with those below each, while there is room.
func (p *picker) first(list []picked) (shown []OutlinedRule) {
	for i := range list {
		if p.room <= 0 {
			break
		}
		r := p.take(&list[i])
		r.Rules = p.first(list[i].below)
		shown = append(shown, r)
	}
	return shown
}

// uppermost takes rules level by level, while there is room.
func (p *picker) uppermost(list []picked) (shown []OutlinedRule) {
	type level struct {
		from []picked
		into *[]OutlinedRule
	}
	for queue := []level{{list, &shown}}; len(queue) > 0 && p.room > 0; queue = queue[1:] {
		at := queue[0]
		rules := make([]OutlinedRule, min(len(at.from), p.room))
		for i := range rules {
			rules[i] = p.take(&at.from[i])
			if len(at.from[i].below) > 0 {
				queue = append(queue, level{at.from[i].below, &rules[i].Rules})
			}
		}
		*at.into = rules
	}
	return shown
}
