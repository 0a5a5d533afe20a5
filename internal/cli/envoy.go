package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/envoy/generate"
	"github.com/weir-rls/weir/internal/config"
)

// envoyFlags are the flags of weir envoy.
type envoyFlags struct {
	mapping, form, weir, out  string
	complete                  bool
	listen, upstream          string
	namespace, vhost          string
	selector                  []string
	sidecar                   bool
	gateway, listener         string
	defaultWeir, inKubernetes string
}

func newEnvoy(world World) *cobra.Command {
	command := &cobra.Command{
		Use:   "envoy FILE|DIR...",
		Short: "Write the Envoy configuration that goes with rule files",
		Long: `Write what Envoy, Istio or Envoy Gateway must be told so that rule files mean what
they say: the filter, what it sends for each rule, and the cluster of weir. A mapping
says which part of a request feeds which key of the rules:

  keys:
    user: {header: x-user}                 # who has none shares the bucket "none"
    plan: {claim: plan, default: free}     # of a verified JWT
    api:  {path: {a: /api/a, b: /api/b}}

A key that no rule uses and a rule that no request could meet are faults: nothing is
written then. docs/how-to/generate-envoy.md has all that a mapping can say.`,
		Example: `  weir envoy rules.yaml --map mapping.yaml
  weir envoy rules.yaml --map mapping.yaml --complete --listen :10000 --upstream 127.0.0.1:9000 > envoy.yaml
  weir envoy rules/ --map mapping.yaml --form istio --selector istio=ingressgateway --out deploy/
  weir envoy rules/ --map mapping.yaml --form envoy-gateway --namespace default --gateway eg`,
		Args: someFiles,
	}
	var flags envoyFlags
	config.AddFlags(command.Flags(), "merge-domains")
	flags.define(command.Flags())
	command.RunE = func(command *cobra.Command, paths []string) error {
		settings, _, err := config.Load(command.Flags(), world.Environ)
		if err != nil {
			return err
		}
		opts, err := flags.options(command.Flags())
		if err != nil {
			return err
		}
		survey, faults := descriptors.Examine(paths, descriptors.Options{MergeDomains: settings.MergeDomains})
		if len(survey.Domains()) == 0 && !faults.Failed() {
			return fmt.Errorf("no rule file in %s: their names end in .yaml or .yml", quoted(paths))
		}
		var files []generate.File
		if !faults.Failed() {
			var more descriptors.Faults
			files, more = generate.Generate(survey, flags.mapping, opts)
			faults = append(faults, more...).Tidy()
		}
		if _, err := fmt.Fprint(world.Stderr, faults.Text()); err != nil {
			return failureError{err}
		}
		if faults.Failed() {
			return silentError{}
		}
		return flags.write(world, files)
	}
	return command
}

func (f *envoyFlags) define(flags *pflag.FlagSet) {
	f.defaultWeir, f.inKubernetes = "127.0.0.1:8081", "weir.weir.svc.cluster.local:8081"
	flags.StringVar(&f.mapping, "map", "", "Mapping file: what of a request feeds which key of the rules.")
	flags.StringVar(&f.form, "form", "envoy", "What is written: parts of an Envoy configuration, EnvoyFilters of Istio, or an EnvoyPatchPolicy of Envoy Gateway.")
	flags.StringVar(&f.weir, "weir", "", "Where weir serves gRPC. Default "+f.defaultWeir+", of the other forms "+f.inKubernetes+".")
	flags.StringVar(&f.out, "out", "", "Directory to write files into; without it all goes to the standard output.")
	config.GroupFlags(flags, "What is written", map[string]string{"map": "FILE", "form": strings.Join(generate.Forms, "|"), "weir": "HOST:PORT", "out": "DIR"})
	flags.BoolVar(&f.complete, "complete", false, "A whole bootstrap instead of its parts, with one route to --upstream.")
	flags.StringVar(&f.listen, "listen", "127.0.0.1:10000", "Where that Envoy listens.")
	flags.StringVar(&f.upstream, "upstream", "127.0.0.1:9000", "Where that Envoy sends what is admitted.")
	config.GroupFlags(flags, "Form envoy", map[string]string{"complete": "bool", "listen": "HOST:PORT", "upstream": "HOST:PORT"})
	flags.StringVar(&f.namespace, "namespace", "", "Namespace of the resources. Default istio-system, with envoy-gateway default.")
	flags.StringArrayVar(&f.selector, "selector", nil, "Label of the workloads that Istio's EnvoyFilters are for; may be given several times. Without one: all of the namespace.")
	flags.BoolVar(&f.sidecar, "sidecar", false, "Limit what comes in at sidecars, not at a gateway.")
	flags.StringVar(&f.vhost, "vhost", "", "Limit one virtual host alone, by Istio's name for it, as in shop.example.com:80.")
	config.GroupFlags(flags, "Form istio", map[string]string{"namespace": "NAME", "selector": "LABEL=VALUE", "sidecar": "bool", "vhost": "NAME"})
	flags.StringVar(&f.gateway, "gateway", "eg", "Gateway that the policy is for.")
	flags.StringVar(&f.listener, "listener", "http", "Its listener.")
	config.GroupFlags(flags, "Form envoy-gateway", map[string]string{"gateway": "NAME", "listener": "NAME"})
	flags.Lookup("selector").DefValue = ""
}

// formOf are the flags that belong to one form, and --namespace to all but the first.
var formOf = map[string]string{
	"complete": "envoy", "listen": "envoy", "upstream": "envoy", "selector": "istio", "sidecar": "istio", "vhost": "istio", "gateway": "envoy-gateway", "listener": "envoy-gateway",
}

func (f *envoyFlags) options(flags *pflag.FlagSet) (o generate.Options, err error) {
	if f.mapping == "" {
		return o, errors.New("--map is missing: name a mapping file, as in --map mapping.yaml; weir envoy --help shows one")
	}
	if !slices.Contains(generate.Forms, f.form) {
		return o, fmt.Errorf("--form: %q is not one of %s", f.form, strings.Join(generate.Forms, ", "))
	}
	var errs []error
	flags.Visit(func(flag *pflag.Flag) {
		if form := formOf[flag.Name]; form != "" && form != f.form {
			errs = append(errs, fmt.Errorf("--%s is for --form %s, not %s", flag.Name, form, f.form))
		}
		if !f.complete && f.form == "envoy" && (flag.Name == "listen" || flag.Name == "upstream") {
			errs = append(errs, fmt.Errorf("--%s is of a whole bootstrap: add --complete", flag.Name))
		}
		if flag.Name == "namespace" && f.form == "envoy" {
			errs = append(errs, errors.New("--namespace is for --form istio and envoy-gateway, not envoy"))
		}
	})
	o = generate.Options{Form: f.form, Complete: f.complete, Namespace: f.namespace, Inbound: f.sidecar, Host: f.vhost, Gateway: f.gateway, Listener: f.listener}
	if o.Namespace == "" {
		o.Namespace = map[string]string{"istio": "istio-system", "envoy-gateway": "default"}[f.form]
	}
	if f.weir == "" {
		if f.weir = f.inKubernetes; f.form == "envoy" {
			f.weir = f.defaultWeir
		}
	}
	read := func(name, text string, into *generate.Address) {
		at, err := generate.ParseAddress(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", name, err))
		}
		if *into = at; at.Host == "" && name == "listen" {
			into.Host = "0.0.0.0"
		} else if at.Host == "" && err == nil {
			errs = append(errs, fmt.Errorf("--%s: %q names no host", name, text))
		}
	}
	read("weir", f.weir, &o.Weir)
	read("listen", f.listen, &o.Listen)
	read("upstream", f.upstream, &o.Upstream)
	for _, text := range f.selector {
		name, value, found := strings.Cut(text, "=")
		if !found || name == "" {
			errs = append(errs, fmt.Errorf("--selector: %q is no LABEL=VALUE", text))
		}
		o.Selector = append(o.Selector, generate.Label{Name: name, Value: value})
	}
	return o, errors.Join(errs...)
}

// write puts files into a directory, or all on the standard output.
func (f *envoyFlags) write(world World, files []generate.File) error {
	if f.out == "" || f.out == "-" {
		for i, file := range files {
			if i > 0 {
				file.Content = append([]byte("---\n"), file.Content...)
			}
			if _, err := world.Stdout.Write(file.Content); err != nil {
				return failureError{err}
			}
		}
		return nil
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return failureError{err}
	}
	for _, file := range files {
		name := filepath.Join(f.out, file.Name)
		if err := os.WriteFile(name, file.Content, 0o644); err != nil {
			return failureError{err}
		}
		if _, err := fmt.Fprintln(world.Stderr, "wrote", name); err != nil {
			return failureError{err}
		}
	}
	return nil
}
