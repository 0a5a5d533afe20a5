package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// variables are what the environment says to weir.
type variables struct {
	file   string // the settings file
	values []given
}

// fromEnvironment sorts environ into settings and warnings about names that
// start like one but are none.
func fromEnvironment(environ []string) (found variables, warnings []string) {
	var names []string
	byName := map[string]setting{}
	for _, s := range table {
		names = append(names, s.env())
		byName[s.env()] = s
	}
	fileVariable := envPrefix + strings.ToUpper(configFlag)
	names = append(names, fileVariable)

	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		s, known := byName[name]
		switch {
		case !strings.HasPrefix(name, envPrefix):
		case known && value != "":
			found.values = append(found.values, given{s, value, name})
		case name == fileVariable:
			found.file = value
		case known || reserved.MatchString(name):
		default:
			warnings = append(warnings, unknownVariable(name, names))
		}
	}
	slices.Sort(warnings)
	return found, warnings
}

func unknownVariable(name string, names []string) string {
	if near, ok := Nearest(name, names); ok {
		return fmt.Sprintf("environment variable %s is no setting of weir and is ignored: did you mean %s?", quote(name), near)
	}
	return fmt.Sprintf("environment variable %s is no setting of weir and is ignored", quote(name))
}

// reserved are the variables that Kubernetes injects into every container of a
// namespace that has a Service named weir, or weir-something.
var reserved = regexp.MustCompile(`^WEIR_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)
