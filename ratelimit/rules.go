package ratelimit

import (
	"cmp"
	"crypto/tls"
	"net/http"
	"strings"
	"time"

	"github.com/weir-rls/weir/ads"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/files"
	"github.com/weir-rls/weir/internal/telemetry"
	"github.com/weir-rls/weir/ratelimit/settings"
	"github.com/weir-rls/weir/ratelimit/sources"
)

// waits tells whether the gRPC and the HTTP port are closed until there are rules.
func (p *Program) waits() bool {
	return p.settings.Rules.Type == settings.FromXDS && !p.settings.Rules.ForceStart
}

// openRules reads the rules, if they are files, and finds out how they are followed.
func (p *Program) openRules(Options) error {
	s := p.settings
	p.rules = descriptors.NewSource("", descriptors.Options{
		Dialect: descriptors.Reference, KeyPrefix: s.Limits.KeyPrefix, MergeDomains: s.Rules.MergeDomains, AllOrNothing: s.Weir.AllOrNothing,
		Spread: s.OnCluster(),
	})
	if s.Rules.Type == settings.FromXDS {
		return p.openXDS()
	}
	return p.openFiles()
}

// reloaded is told of each reading of the rules that found a change.
func (p *Program) reloaded(r descriptors.Report) {
	telemetry.LogReport(p.log, r)
	p.metrics.Reload(r.Faults.Count(descriptors.Error))
	if r.Faults.Failed() {
		p.stats.ConfigLoadError.Add(1)
	} else {
		p.stats.ConfigLoadSuccess.Add(1)
	}
	if p.settings.Rules.HealthyWithAConfig {
		rules := p.rules.Rules()
		p.vitals.set(partConfig, rules != nil && len(rules.Domains()) > 0)
	}
}

// Bounds of the connection to a control plane.
const (
	defaultMaxBytes = 4 << 20 // of a response, as gRPC has it
	// keepaliveAfter is the silence after which the control plane is pinged. Servers that
	// use gRPC's defaults close connections that ping more often.
	keepaliveAfter = 5 * time.Minute
)

// openXDS follows a control plane. The first rules that can be used open the ports.
func (p *Program) openXDS() error {
	s := p.settings.XDS
	o := ads.Options{
		Address: s.Address, Node: s.NodeID, Metadata: s.Pairs(), Headers: map[string]string{},
		MaxBytes: cmp.Or(s.MaxBytes, defaultMaxBytes), Bound: "XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES", Secured: "CONFIG_GRPC_XDS_SERVER_USE_TLS", Keepalive: keepaliveAfter,
		Backoff: ads.Backoff{First: s.BackoffFirst, Longest: s.BackoffMost, Refused: s.RetryInterval, Spread: s.BackoffRandom},
		Replace: func(all []descriptors.Given, whole bool) descriptors.Report {
			report := p.rules.Replace(all, whole)
			if p.rules.Rules() != nil {
				p.begin()
			}
			return report
		},
		Changed: p.reloaded, Connected: p.metrics.ADSConnected, Updated: p.metrics.ADSUpdated, Rejected: p.metrics.ADSRejected, Log: p.log,
	}
	for name, value := range s.Headers {
		o.Headers[strings.ToLower(name)] = value.Reveal()
	}
	if !s.BackoffJitter || s.BackoffRandom == 0 {
		o.Backoff.Spread = -1
	}
	if s.UseTLS {
		current, err := p.xdsFiles(s).Open()
		if err != nil {
			return err
		}
		o.TLS = func() (*tls.Config, error) {
			secure := current().Clone()
			secure.ServerName = s.ServerSAN
			return secure, nil
		}
	}
	if !p.waits() {
		p.begin()
	}
	p.follow = ads.New(o).Run
	return nil
}

// begin has the gRPC and the HTTP port opened.
func (p *Program) begin() { p.once.Do(func() { close(p.first) }) }

// xdsFiles are those of the connection to the control plane.
func (p *Program) xdsFiles(s settings.XDS) files.Client {
	c := files.Client{
		Server: "the control plane", Authorities: files.Authorities{File: s.CA, Setting: "CONFIG_GRPC_XDS_SERVER_TLS_CACERT", System: true}, Log: p.log,
	}
	if s.Cert != "" && s.Key != "" {
		c.Pair = files.Pair{Cert: s.Cert, Key: s.Key, Settings: "CONFIG_GRPC_XDS_CLIENT_TLS_CERT, CONFIG_GRPC_XDS_CLIENT_TLS_KEY"}
	}
	return c
}

// openFiles reads the rule files.
func (p *Program) openFiles() error {
	s := p.settings.Rules
	tree := sources.NewTree(sources.TreeOptions{
		Root: s.Root, Subdirectory: s.Subdirectory, App: s.AppDirectory, WatchRoot: s.WatchRoot, IgnoreDotFiles: s.IgnoreDotFiles,
	}, p.rules, p.reloaded)
	tree.First()
	p.begin()
	p.follow = tree.Run
	return nil
}

// serveRules answers /rlconfig.
func (p *Program) serveRules(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_ = sources.WriteRules(w, p.rules.Rules()) // fails where the client has gone
}
