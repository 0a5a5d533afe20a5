package service

import (
	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/descriptors"
)

// sentence is one of weir's own messages.
type sentence uint8

const (
	exceededSentence  sentence = iota // a limit is used up
	waitSentence                      // and waiting helps
	slotsSentence                     // all slots are in use
	breakerSentence                   // a circuit breaker is open
	closedSentence                    // a limit admits nothing, by its rule
	hopelessSentence                  // a request is larger than a limit ever admits
	blindSentence                     // the store does not answer
	unmatchedSentence                 // no rule admits the request
	excessSentence                    // the request is too large to be judged
	overloadSentence                  // too many are judged at once
)

// sentences are the texts by [descriptors.Language]. They hold nothing that the
// client sent: names and numbers are those of the rules.
var sentences = [...][3]descriptors.Template{
	exceededSentence: messages(
		`rate limit "{name}" of {limit} per {period} exceeded`,
		`您已达到请求数限制“{name}”：{period}内最多请求{limit}次`,
		`limite "{name}" de {limit} por {period} excedido`),
	waitSentence: messages(
		`rate limit "{name}" of {limit} per {period} exceeded, retry after {retry_after} s`,
		`您已达到请求数限制“{name}”：{period}内最多请求{limit}次，请在{retry_after}秒后重试`,
		`limite "{name}" de {limit} por {period} excedido, tente novamente em {retry_after} s`),
	slotsSentence: messages(
		`all {burst} slots of "{name}" are in use`,
		`“{name}”的{burst}个并发名额已全部占用`,
		`todas as {burst} vagas de "{name}" estão em uso`),
	breakerSentence: messages(
		`"{name}" is not available at the moment`,
		`“{name}”暂时不可用`,
		`"{name}" não está disponível no momento`),
	closedSentence: messages(
		`rate limit "{name}" admits no requests`,
		`限制“{name}”不允许任何请求`,
		`o limite "{name}" não admite requisições`),
	hopelessSentence: messages(
		`the request needs more than the {burst} tokens that rate limit "{name}" can hold`,
		`请求所需超过限制“{name}”的最大容量{burst}`,
		`a requisição precisa de mais do que as {burst} fichas que o limite "{name}" comporta`),
	blindSentence: messages(
		`rate limit "{name}" cannot be checked at the moment`,
		`暂时无法检查限制“{name}”`,
		`o limite "{name}" não pode ser verificado no momento`),
	unmatchedSentence: messages(
		"no rate limit rule admits this request",
		"没有任何限流规则允许此请求",
		"nenhuma regra de limite admite esta requisição"),
	excessSentence: messages(
		"the request is too large for its rate limits to be checked",
		"请求过大，无法检查其限流规则",
		"a requisição é grande demais para que seus limites sejam verificados"),
	overloadSentence: messages(
		"too many requests are being checked at the moment, retry after {retry_after} s",
		"当前待检查的请求过多，请在{retry_after}秒后重试",
		"há requisições demais em verificação no momento, tente novamente em {retry_after} s"),
}

func messages(en, zh, pt string) [3]descriptors.Template {
	return [3]descriptors.Template{
		descriptors.English: descriptors.NewMessage(en), descriptors.Chinese: descriptors.NewMessage(zh), descriptors.Portuguese: descriptors.NewMessage(pt),
	}
}

// sentence says why the request was refused.
func (v *verdict) sentence() sentence {
	switch v.reason {
	case "unmatched":
		return unmatchedSentence
	case "excess":
		return excessSentence
	case "overload":
		return overloadSentence
	}
	m := v.decisive
	switch {
	case m.Blind:
		return blindSentence
	case m.Charge.Bucket.Size() == 0:
		return closedSentence
	case m.hopeless:
		return hopelessSentence
	}
	switch m.Charge.Bucket.(type) {
	case buckets.Slots:
		return slotsSentence
	case buckets.Breaker:
		return breakerSentence
	}
	if _, hope := v.retryAfter(); hope {
		return waitSentence
	}
	return exceededSentence
}

// own tells that a rule's own message may take the sentence's place: what it
// says of a used-up limit is not true of a store that does not answer.
func (s sentence) own() bool { return s <= closedSentence }
