package decide

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/encoding/protojson"
)

// maxBody is the most bytes of a request: as many as gRPC takes.
const maxBody = 4 << 20

// JSON answers requests in the JSON form of RateLimitRequest, of any HTTP method, with
// RateLimitResponse in its JSON form: 200 if it is admitted, 429 if not. What is no request,
// or cannot be decided, is 400.
func (s *Service) JSON() http.Handler { return jsonHandler(s, s.options.Log) }

func jsonHandler(service rls.RateLimitServiceServer, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body, err := answerJSON(service, w, r)
		if err != nil {
			log.Debug("a request to /json failed", "error", err)
		}
		if body == nil {
			http.Error(w, http.StatusText(status), status)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(body) // the client has gone
	})
}

// answerJSON is the status of an answer, and its body where it has one of its own.
func answerJSON(service rls.RateLimitServiceServer, w http.ResponseWriter, r *http.Request) (int, []byte, error) {
	sent, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	request := &rls.RateLimitRequest{}
	if err == nil {
		err = protojson.Unmarshal(sent, request)
	}
	if err != nil {
		return http.StatusBadRequest, nil, err
	}
	answer, err := service.ShouldRateLimit(r.Context(), request)
	switch {
	case errors.Is(err, errInternal):
		return http.StatusInternalServerError, nil, err
	case err != nil:
		return http.StatusBadRequest, nil, err
	case answer == nil:
		return http.StatusInternalServerError, nil, nil
	}
	form, err := protojson.Marshal(answer)
	var body bytes.Buffer
	if err == nil {
		err = json.Compact(&body, form) // protojson's spaces vary from build to build
	}
	switch {
	case err != nil:
		return http.StatusInternalServerError, nil, err
	case answer.OverallCode == rls.RateLimitResponse_OVER_LIMIT:
		return http.StatusTooManyRequests, body.Bytes(), nil
	case answer.OverallCode == rls.RateLimitResponse_UNKNOWN:
		return http.StatusInternalServerError, body.Bytes(), nil
	}
	return http.StatusOK, body.Bytes(), nil
}
