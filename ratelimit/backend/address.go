package backend

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The forms of a URL, for messages.
const (
	oneForm      = "HOST:PORT (of IPv6 [ADDRESS]:PORT) or redis://USER:PASSWORD@HOST:PORT/DB"
	sentinelForm = "MASTER,HOST:PORT,HOST:PORT: the name that the Sentinels know the master by, and where they are"
	clusterForm  = "HOST:PORT,HOST:PORT: some nodes of the Cluster"
)

// address is the Redis as a URL for package redis. What is wrong names the variable by its
// prefix, and repeats nothing of the settings' URL, which may hold a password.
func (r Redis) address(prefix string) (string, error) {
	var u *url.URL
	var err error
	query := url.Values{}
	switch strings.ToLower(r.Type) {
	case "single":
		u, err = r.single(prefix)
	case "sentinel":
		u, err = r.sentinels(query)
	case "cluster":
		u, err = r.cluster(query)
	default:
		return "", fmt.Errorf("%sTYPE: %.80q is none of SINGLE, SENTINEL, CLUSTER", prefix, r.Type)
	}
	if err != nil {
		return "", fmt.Errorf("%sURL: %w", prefix, err)
	}
	cut := r.patience().String()
	query.Set("pool_size", strconv.Itoa(max(0, r.PoolSize)))
	query.Set("dial_timeout", r.dial().String())
	query.Set("read_timeout", cut)
	query.Set("write_timeout", cut)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

func (r Redis) single(prefix string) (*url.URL, error) {
	one, err := parse(r.URL)
	switch {
	case hasScheme(r.URL) || err == nil && r.SocketType != "unix":
		return r.of(one), err
	case r.SocketType != "unix" && strings.HasPrefix(r.URL, "/"):
		return nil, fmt.Errorf("it is the path of a socket: set %sSOCKET_TYPE to unix, or write %s", prefix, oneForm)
	case r.SocketType != "unix":
		return nil, err
	case err == nil:
		return nil, fmt.Errorf("it is HOST:PORT, and %[1]sSOCKET_TYPE is unix, the default: set %[1]sSOCKET_TYPE to tcp, or write the path of a socket", prefix)
	case r.TLS:
		return nil, fmt.Errorf("it is a socket of this machine, where there is no TLS: set %sTLS to false", prefix)
	}
	path, err := filepath.Abs(r.URL)
	if r.URL == "" || err != nil {
		return nil, fmt.Errorf("write the path of a socket, or set %sSOCKET_TYPE to tcp and write %s", prefix, oneForm)
	}
	return &url.URL{Scheme: "unix", User: r.user(one), Path: path}, nil
}

func (r Redis) sentinels(query url.Values) (*url.URL, error) {
	name, rest, _ := strings.Cut(r.URL, ",")
	all, err := parseAll(rest)
	if err == nil && (strings.TrimSpace(name) == "" || hasScheme(name)) {
		err = errors.New("there is no name of a master at its beginning")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: write %s", err, sentinelForm)
	}
	u := r.of(all...)
	u.User = r.user(place{}) // of the servers with the buckets
	query.Set("master_name", strings.TrimSpace(name))
	user, password := credentials(r.SentinelAuth)
	if user = cmp.Or(user, all[0].user); user != "" {
		query.Set("sentinel_username", user)
	}
	if password = cmp.Or(password, all[0].password); password != "" {
		query.Set("sentinel_password", password)
	}
	addOthers(query, all)
	return u, nil
}

func (r Redis) cluster(query url.Values) (*url.URL, error) {
	all, err := parseAll(r.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: write %s", err, clusterForm)
	}
	query.Set("cluster", "true")
	addOthers(query, all)
	return r.of(all...), nil
}

// of is a URL of the first place, over TLS if one of them is to be.
func (r Redis) of(all ...place) *url.URL {
	u := &url.URL{Scheme: "redis", User: r.user(all[0]), Host: all[0].host, Path: all[0].database}
	if r.TLS || slices.ContainsFunc(all, func(p place) bool { return p.secure }) {
		u.Scheme = "rediss"
	}
	return u
}

func addOthers(query url.Values, all []place) {
	for _, one := range all[1:] {
		query.Add("addr", one.host)
	}
}

// user is who connects: what AUTH says wins over what the URL says.
func (r Redis) user(p place) *url.Userinfo {
	user, password := credentials(r.Auth)
	user, password = cmp.Or(user, p.user), cmp.Or(password, p.password)
	if user == "" && password == "" {
		return nil
	}
	return url.UserPassword(user, password)
}

// credentials reads PASSWORD or USER:PASSWORD.
func credentials(auth string) (user, password string) {
	if user, password, both := strings.Cut(auth, ":"); both {
		return user, password
	}
	return "", auth
}

// place is what one URL says.
type place struct {
	host           string // HOST:PORT
	user, password string
	database       string // /DB, empty: none is chosen
	secure         bool
}

func hasScheme(text string) bool {
	return strings.HasPrefix(text, "redis://") || strings.HasPrefix(text, "rediss://")
}

func parse(text string) (place, error) {
	if !hasScheme(text) {
		host, err := hostPort(text, "")
		return place{host: host}, err
	}
	wrong := errors.New("it cannot be read: write " + oneForm + ", special characters of user and password percent-encoded")
	u, err := url.Parse(text)
	if err != nil || u.Fragment != "" {
		return place{}, wrong
	}
	password, _ := u.User.Password()
	query := u.Query()
	p := place{
		user: cmp.Or(u.User.Username(), query.Get("username")), password: cmp.Or(password, query.Get("password")), secure: u.Scheme == "rediss",
	}
	if db := cmp.Or(strings.Trim(u.Path, "/"), query.Get("db")); db != "" {
		if _, err := strconv.ParseUint(db, 10, 31); err != nil {
			return place{}, errors.New("its database is no number: write " + oneForm)
		}
		p.database = "/" + db
	}
	p.host, err = hostPort(u.Host, "6379")
	return p, err
}

// hostPort is HOST:PORT with a host, and with a port unless there is another for those
// without.
func hostPort(text, other string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil && other != "" {
		host, port, err = strings.Trim(text, "[]"), other, nil
	}
	if err != nil || strings.ContainsAny(host, "/@, ") {
		return "", errors.New("it is no address: write " + oneForm)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New("its port is no number from 1 to 65535: write " + oneForm)
	}
	return net.JoinHostPort(cmp.Or(host, "localhost"), port), nil
}

// parseAll reads addresses with commas between them.
func parseAll(text string) (all []place, err error) {
	for one := range strings.SplitSeq(text, ",") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		p, err := parse(one)
		switch {
		case err != nil:
			return nil, fmt.Errorf("address %d of it is none", len(all)+1)
		case p.database != "" && p.database != "/0":
			return nil, fmt.Errorf("address %d of it has a database, and there is only 0", len(all)+1)
		}
		p.database = ""
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil, errors.New("there is no address in it")
	}
	return all, nil
}
