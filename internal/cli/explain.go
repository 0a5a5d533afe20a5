package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/ruletest"
)

// explainFlags are the flags of weir explain.
type explainFlags struct {
	descriptors []string
	domain      string
	hits        uint32
	server      string
	tokenFile   string
	format      string
}

func newExplain(world World) *cobra.Command {
	command := &cobra.Command{
		Use:   "explain FILE|DIR... -d KEY=VALUE,...",
		Short: "Tell which limits a request meets, and why",
		Long: `Tell what becomes of a request and why: the way of each descriptor through the
rules, or what is missing for a rule to be met; the limits and what they cost;
the buckets and where they stand; the answer. Nothing is taken.

Of rule files the buckets are those of a weir that was just started. With
--server a running weir is asked what it would answer now.`,
		Example: `  weir explain rules.yaml -d user=alice,api=read
  weir explain rules.yaml --domain shop -d pool=backend,api=c -d user=alice --hits 3
  weir explain --server http://127.0.0.1:8080 --domain shop -d user=alice`,
	}
	config.AddFlags(command.Flags(), "merge-domains")
	var f explainFlags
	flags := command.Flags()
	flags.StringArrayVarP(&f.descriptors, "descriptor", "d", nil,
		`A descriptor of the request, given once for each: its entries in order. A comma or a backslash in a value is written with a backslash before it.`)
	flags.Lookup("descriptor").DefValue = ""
	flags.StringVar(&f.domain, "domain", "", "The request's domain; may be left out where the rule files have only one.")
	flags.Uint32Var(&f.hits, "hits", 1, "The request's hits, by which weights are multiplied.")
	flags.StringVar(&f.format, "format", "text", "How the explanation is written; docs/how-to/explain.md has the form of the JSON.")
	config.GroupFlags(flags, "Request", map[string]string{"descriptor": "KEY=VALUE,...", "domain": "TEXT", "hits": "N", "format": "text|json"})
	flags.StringVar(&f.server, "server", "", "The HTTP port of the running weir that is asked, in place of rule files.")
	flags.StringVar(&f.tokenFile, "token-file", "", "A file with the token of a viewer that the running weir wants, as weir token prints it.")
	config.GroupFlags(flags, "Server", map[string]string{"server": "URL", "token-file": "FILE"})
	command.Args = func(_ *cobra.Command, args []string) error { return f.check(args) }
	command.RunE = func(command *cobra.Command, files []string) error {
		settings, _, err := config.Load(command.Flags(), world.Environ)
		if err != nil {
			return err
		}
		request, err := f.request()
		if err != nil {
			return err
		}
		var explained descriptors.Explanation
		if f.server != "" {
			explained, err = askServer(command.Context(), &f, request)
		} else {
			explained, err = explainFiles(world, files, settings.MergeDomains, request)
		}
		if err != nil {
			return failureError{err}
		}
		return printExplanation(world, &explained, &f)
	}
	return command
}

// check tells what is wrong with the flags together.
func (f *explainFlags) check(args []string) error {
	switch {
	case len(args) == 0 && f.server == "":
		return errors.New("no rule file given: write weir explain FILE, or --server URL to ask a running weir")
	case len(args) > 0 && f.server != "":
		return fmt.Errorf("both rule files (%q) and --server are given: keep one of them", args[0])
	case f.tokenFile != "" && f.server == "":
		return errors.New("--token-file means nothing without --server")
	case f.server != "" && f.domain == "":
		return errors.New("--domain is not set: a running weir is asked about one domain")
	case len(f.descriptors) == 0:
		return errors.New("no descriptor given: write -d KEY=VALUE, as in -d user=alice,api=read")
	case f.hits == 0:
		return errors.New("--hits: 0 is not from 1 to 4294967295")
	case f.format != "text" && f.format != "json":
		return fmt.Errorf("--format: %q is neither text nor json", f.format)
	}
	if f.server == "" {
		return nil
	}
	u, err := url.Parse(f.server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return fmt.Errorf("--server: %q is no http://HOST:PORT or https://HOST:PORT", f.server)
	}
	return nil
}

func (f *explainFlags) request() (q descriptors.Request, err error) {
	q = descriptors.Request{Domain: f.domain, Hits: uint64(f.hits)}
	for _, text := range f.descriptors {
		d, ok := descriptors.ParseDescriptor(text)
		if !ok {
			return q, fmt.Errorf("-d: %q is not KEY=VALUE,KEY=VALUE", text)
		}
		q.Descriptors = append(q.Descriptors, d)
	}
	return q, nil
}

// explainFiles explains by rule files, on full buckets.
func explainFiles(world World, files []string, merge bool, q descriptors.Request) (e descriptors.Explanation, err error) {
	rules, faults := descriptors.Load(files, descriptors.Options{MergeDomains: merge})
	if faults.Failed() || rules == nil {
		if _, err := fmt.Fprint(world.Stderr, faults.Text()); err != nil {
			return e, err
		}
		if faults.Failed() {
			return e, silentError{}
		}
		return e, fmt.Errorf("no rule file in %s: their names end in .yaml or .yml", quoted(files))
	}
	if domains := rules.Domains(); q.Domain == "" && len(domains) > 1 {
		return e, fmt.Errorf("--domain is not set, and there are several: name one of %s", quoted(domains))
	} else if q.Domain == "" {
		q.Domain = domains[0]
	}
	return ruletest.New(rules, ruletest.Options{Start: time.Now()}).Explain(q)
}

const (
	askTimeout = 10 * time.Second
	maxAnswer  = 64 << 20 // of a weir whose rules are large
)

// askServer asks a running weir.
func askServer(ctx context.Context, f *explainFlags, q descriptors.Request) (e descriptors.Explanation, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	target := strings.TrimRight(f.server, "/") + "/api/v1/explain"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(ruletest.Body(q)))
	if err != nil {
		return e, err
	}
	request.Header.Set("Content-Type", "application/json")
	if f.tokenFile != "" {
		token, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return e, fmt.Errorf("--token-file: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}}
	response, err := client.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return e, fmt.Errorf("no answer: is weir serving on %s? %w", f.server, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return e, fmt.Errorf("%s: the answer breaks off: %w", target, err)
	}
	if response.StatusCode != http.StatusOK {
		return e, refusedBy(target, response.StatusCode, text)
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return e, fmt.Errorf("%s does not answer as weir does: is it weir's HTTP port?", target)
	}
	return e, nil
}

// refusedBy is the error of an answer that is a problem of RFC 9457.
func refusedBy(target string, status int, text []byte) error {
	var p struct{ Detail, Remedy string }
	if err := json.Unmarshal(text, &p); err != nil || p.Detail == "" {
		return fmt.Errorf("%s answered %d: is it the HTTP port of a weir that knows this path?", target, status)
	}
	if p.Remedy != "" {
		p.Detail += ": " + p.Remedy
	}
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		p.Detail += "; --token-file names a file with a token"
	}
	return fmt.Errorf("%s answered %d: %s", target, status, p.Detail)
}

func printExplanation(world World, e *descriptors.Explanation, f *explainFlags) error {
	paint := paintFor(world.Stdout, world.Environ)
	text := explainText(e, paint)
	if f.server == "" {
		text += "\n" + paint.in(dim, "The buckets are those of a weir that was just started; --server asks a running one.") + "\n"
	}
	if f.format == "json" {
		form, err := json.MarshalIndent(e, "", "  ")
		if err != nil {
			return failureError{err}
		}
		text = string(form) + "\n"
	}
	if _, err := fmt.Fprint(world.Stdout, text); err != nil {
		return failureError{err}
	}
	return nil
}
