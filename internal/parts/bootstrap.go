package parts

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// Addresses are the places of an Envoy bootstrap that differ from one run to
// the next, each host:port.
type Addresses struct {
	Admin     string
	Listeners map[string]string   // by the listener's name
	Clusters  map[string][]string // by the cluster's name: its endpoints
}

// Readdress is the bootstrap with these addresses and nothing else changed: as
// many endpoints as before keep their weights, in their order.
// What is not named keeps its own; a name that the bootstrap does not have is
// an error.
func Readdress(bootstrap []byte, to Addresses) ([]byte, error) {
	var root map[string]any
	if err := yaml.Unmarshal(bootstrap, &root); err != nil {
		return nil, fmt.Errorf("envoy bootstrap: %w", err)
	}
	resources, ok := root["static_resources"].(map[string]any)
	if !ok {
		return nil, errors.New("envoy bootstrap: no static_resources")
	}
	var errs []error
	if to.Admin != "" {
		address, err := socketAddress(to.Admin)
		root["admin"] = map[string]any{"address": address}
		errs = append(errs, err)
	}
	for name, addr := range to.Listeners {
		listener, err := named(resources, "listeners", name)
		if err == nil {
			listener["address"], err = socketAddress(addr)
		}
		errs = append(errs, err)
	}
	for name, addrs := range to.Clusters {
		cluster, err := named(resources, "clusters", name)
		if err == nil {
			cluster["load_assignment"], err = assignment(name, addrs, endpoints(cluster))
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return yaml.Marshal(root)
}

// Stated are the addresses that a bootstrap states.
func Stated(bootstrap []byte) (Addresses, error) {
	type address struct {
		Socket struct {
			Host string `yaml:"address"`
			Port uint16 `yaml:"port_value"`
		} `yaml:"socket_address"`
	}
	var root struct {
		Admin     struct{ Address address }
		Resources struct {
			Listeners []struct {
				Name    string
				Address address
			}
			Clusters []struct {
				Name       string
				Assignment struct {
					Endpoints []struct {
						Endpoints []struct{ Endpoint struct{ Address address } } `yaml:"lb_endpoints"`
					}
				} `yaml:"load_assignment"`
			}
		} `yaml:"static_resources"`
	}
	if err := yaml.Unmarshal(bootstrap, &root); err != nil {
		return Addresses{}, fmt.Errorf("envoy bootstrap: %w", err)
	}
	text := func(a address) string { return net.JoinHostPort(a.Socket.Host, strconv.Itoa(int(a.Socket.Port))) }
	stated := Addresses{Admin: text(root.Admin.Address), Listeners: map[string]string{}, Clusters: map[string][]string{}}
	for _, l := range root.Resources.Listeners {
		stated.Listeners[l.Name] = text(l.Address)
	}
	for _, c := range root.Resources.Clusters {
		for _, locality := range c.Assignment.Endpoints {
			for _, e := range locality.Endpoints {
				stated.Clusters[c.Name] = append(stated.Clusters[c.Name], text(e.Endpoint.Address))
			}
		}
	}
	return stated, nil
}

// named is the element of resources[list] with that name.
func named(resources map[string]any, list, name string) (map[string]any, error) {
	elements, _ := resources[list].([]any)
	for _, e := range elements {
		if m, ok := e.(map[string]any); ok && m["name"] == name {
			return m, nil
		}
	}
	return nil, fmt.Errorf("envoy bootstrap: static_resources.%s has none named %q", list, name)
}

// endpoints are a cluster's own, with their weights.
func endpoints(cluster map[string]any) (all []map[string]any) {
	assignment, _ := cluster["load_assignment"].(map[string]any)
	localities, _ := assignment["endpoints"].([]any)
	for _, l := range localities {
		locality, _ := l.(map[string]any)
		hosts, _ := locality["lb_endpoints"].([]any)
		for _, h := range hosts {
			host, _ := h.(map[string]any)
			all = append(all, host)
		}
	}
	return all
}

func assignment(cluster string, addrs []string, before []map[string]any) (map[string]any, error) {
	var hosts []any
	for i, addr := range addrs {
		address, err := socketAddress(addr)
		if err != nil {
			return nil, err
		}
		host := map[string]any{"endpoint": map[string]any{"address": address}}
		if len(before) == len(addrs) && before[i]["load_balancing_weight"] != nil {
			host["load_balancing_weight"] = before[i]["load_balancing_weight"]
		}
		hosts = append(hosts, host)
	}
	return map[string]any{
		"cluster_name": cluster,
		"endpoints":    []any{map[string]any{"lb_endpoints": hosts}},
	}, nil
}

func socketAddress(addr string) (map[string]any, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	return map[string]any{"socket_address": map[string]any{"address": host, "port_value": number}}, nil
}
