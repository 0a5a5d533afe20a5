package app

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/weir-rls/weir/ads"
	"github.com/weir-rls/weir/internal/config"
)

// ruleSource is what keeps the rules in step with files, or with a control plane.
func (a *App) ruleSource() (follow func(context.Context) error, err error) {
	s := a.settings
	if s.RulesADS == "" {
		return func(ctx context.Context) error { return a.rules.Watch(ctx, a.reloaded) }, nil
	}
	o := ads.Options{
		Address: s.RulesADS, Node: s.RulesADSNode, Metadata: config.Pairs(s.RulesADSMetadata), Headers: config.Pairs(s.RulesADSHeaders.Reveal()),
		MaxBytes: s.RulesADSMaxBytes, Bound: "--rules-ads-max-bytes", Secured: "--rules-ads-ca", Keepalive: s.RulesADSKeepalive, Backoff: ads.Backoff{Longest: s.RulesADSLongestPause},
		Replace: a.rules.Replace, Changed: a.reloaded,
		Connected: a.metrics.ADSConnected, Updated: a.metrics.ADSUpdated, Rejected: a.metrics.ADSRejected, Log: a.log,
	}
	if s.RulesADSCA != "" {
		o.TLS = func() (*tls.Config, error) { return adsTLS(s) }
		if _, err := o.TLS(); err != nil { // which is better told now than in a log
			return nil, err
		}
	}
	return ads.New(o).Run, nil
}

// firstRules reads the rules before the first request comes, if they are files.
func (a *App) firstRules() {
	if a.settings.RulesADS == "" {
		a.reloaded(a.rules.Reload())
	}
	a.serveWhenReady()
}

// adsTLS is how the control plane is spoken to, as the files are now.
func adsTLS(s config.Settings) (*tls.Config, error) {
	roots, err := authorities("rules-ads-ca", s.RulesADSCA).Read()
	if err != nil {
		return nil, err
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: s.RulesADSServerName}
	if secure.ServerName == "" {
		secure.ServerName, _, _ = net.SplitHostPort(s.RulesADS)
	}
	if s.RulesADSCert != "" {
		shown, err := pair("rules-ads", s.RulesADSCert, s.RulesADSKey).Read()
		if err != nil {
			return nil, err
		}
		secure.Certificates = []tls.Certificate{shown}
	}
	return secure, nil
}
