package apis

import (
	"testing"

	gateway "github.com/envoyproxy/gateway/api/v1alpha1"
	"github.com/ohler55/ojg/jp"
	"github.com/weir-rls/weir/envoy/generate"
	"google.golang.org/protobuf/encoding/protojson"
	istio "istio.io/api/networking/v1alpha3"
	"sigs.k8s.io/yaml"
)

func TestX(t *testing.T) {
	_ = gateway.EnvoyPatchPolicy{}
	_ = jp.MustParseString
	_ = generate.Forms
	_ = protojson.Unmarshal
	_ = istio.EnvoyFilter{}
	_ = yaml.Unmarshal
}
