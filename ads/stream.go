package ads

import (
	"context"
	"fmt"
	"strings"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/weir-rls/weir/descriptors"
)

// rejectedAgain is how long a response waits for its answer that was rejected before: some
// servers send it again as soon as they have the answer.
const rejectedAgain = time.Second

// follow asks for rules on a stream of its own, and answers each response, until one side
// fails. It begins with no version, so that the server sends all it has: what it calls a
// version may be another one after a restart.
func (c *Client) follow(ctx context.Context, conn grpc.ClientConnInterface) (came reached, err error) {
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
	if err != nil {
		return nothingCame, err
	}
	came = streamCame
	c.options.Connected(true)
	defer c.options.Connected(false)
	request := &discovery.DiscoveryRequest{Node: c.node, TypeUrl: TypeURL}
	for {
		if err := stream.Send(request); err != nil {
			_, err = stream.Recv() // says why, where Send has io.EOF
			return came, err
		}
		response, err := stream.Recv()
		if err != nil {
			return came, err
		}
		if response.GetTypeUrl() != TypeURL {
			return came, fmt.Errorf("the server sent resources of the type %.200q, which were not asked for", response.GetTypeUrl())
		}
		came = rulesCame
		request = &discovery.DiscoveryRequest{Node: c.node, TypeUrl: TypeURL, VersionInfo: request.GetVersionInfo(), ResponseNonce: response.GetNonce()}
		if request.ErrorDetail = c.take(ctx, response); request.ErrorDetail == nil {
			request.VersionInfo = response.GetVersionInfo()
		}
	}
}

// take makes a response live, and answers what is wrong with it, nil: nothing.
func (c *Client) take(ctx context.Context, response *discovery.DiscoveryResponse) *rpc.Status {
	report := c.options.Replace(given(response.GetResources()))
	if report.Changed {
		c.faults = report.Faults
		c.options.Changed(report)
	}
	if !c.faults.Failed() {
		c.options.Updated()
		return nil
	}
	again := !report.Changed && c.rejected == response.GetVersionInfo()
	if c.rejected = response.GetVersionInfo(); again {
		select {
		case <-ctx.Done():
		case <-time.After(rejectedAgain):
		}
	} else {
		c.options.Rejected()
	}
	return &rpc.Status{Code: int32(codes.InvalidArgument), Message: detail(c.faults)}
}

const (
	maxTold  = 20 // errors of a response that the server is told
	maxBytes = 8 << 10
)

// detail is what the server is told of errors.
func detail(faults descriptors.Faults) string {
	var b strings.Builder
	told, all := 0, faults.Count(descriptors.Error)
	for _, f := range faults {
		if f.Severity != descriptors.Error {
			continue
		}
		line := f.Error()
		if told == maxTold || told > 0 && b.Len()+len(line) > maxBytes {
			fmt.Fprintf(&b, "and %d more\n", all-told)
			break
		}
		b.WriteString(line + "\n")
		told++
	}
	return strings.TrimSuffix(b.String(), "\n")
}
