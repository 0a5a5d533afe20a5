// The page of events: what the stream tells, the newest first. All of it is text, for
// much of it was sent by clients.
import { ago, announce, live, make } from "./weir.js";

const most = 500; // rows, and events that are kept while the page pauses
const words = {
	limit_hit: ["refused", "badge-bad"], breaker_moved: ["breaker", "badge-warn"], limit_set: ["set", ""],
	limit_undone: ["undone", "badge-muted"], rules_reloaded: ["rules", "badge-muted"], capacity_changed: ["pool size", "badge-muted"],
};
const [body, filter, kind, pause, count] = ["events", "filter", "kind", "pause", "count"].map((id) => document.getElementById(id));
let kept = []; // the newest first
let held = null; // what came since the page pauses, null while it does not

const limitLink = (e) => `/dashboard/limits/${encodeURIComponent(e.domain)}/${e.limit.split("/").map(encodeURIComponent).join("/")}`;
const escaped = (text) => text.replace(/[\\,]/g, "\\$&");
const rare = (e) => e.limit === "unmatched" || e.limit === "override";

function details(e) {
	const parts = [];
	if (e.entries?.length) parts.push(make("code", { class: "entries" }, e.entries.map(({ key, value }) => `${key}=${value}`).join(", ")));
	const fields = Object.entries(e.fields ?? {}).filter(([, value]) => value !== "");
	if (fields.length) parts.push(make("span", { class: "entries" }, fields.map(([name, value]) => `${name}: ${value}`).join(", ")));
	if (e.request_id) parts.push(make("span", { class: "entries" }, `request ${e.request_id}`));
	if (e.suppressed) parts.push(make("span", { class: "entries" }, `${e.suppressed} more like it since the one before`));
	if (e.dropped) parts.push(make("span", { class: "entries" }, `${e.dropped} events before it were lost`));
	return parts;
}

function explain(e) {
	const text = e.entries?.map(({ key, value }) => `${escaped(key)}=${escaped(value)}`).join(",") ?? "";
	if (e.kind !== "limit_hit" || !text || /[\r\n]/.test(text) || e.entries.some(({ value }) => value.startsWith("hmac:"))) return null;
	const button = make("button", { type: "button", class: "button button-small", "aria-label": `Explain the refusal by ${e.limit}` }, "Explain");
	button.addEventListener("click", () => {
		const form = document.getElementById("explain");
		form.elements.domain.value = e.domain;
		form.elements.descriptors.value = text;
		form.submit();
	});
	return button;
}

function row(e) {
	const [word, tone] = words[e.kind] ?? [e.kind, "badge-muted"];
	const at = new Date(e.time);
	const limit = e.limit && (e.kind === "capacity_changed" || rare(e) ? e.limit : make("a", { href: limitLink(e) }, e.limit));
	return make("tr", {},
		make("td", { class: "nowrap" }, make("time", { datetime: e.time, title: at.toLocaleString() }, ago(at.getTime()))),
		make("td", {}, make("span", { class: `badge ${tone}` }, word)),
		make("td", { class: "nowrap" }, limit || e.domain || "–", limit && e.domain ? make("span", { class: "sub" }, e.domain) : null),
		make("td", { class: "what" }, e.text || "–", ...details(e)),
		make("td", { class: "num" }, explain(e)));
}

function wanted(e) {
	const text = filter.value.trim().toLowerCase();
	if (kind.value && e.kind !== kind.value) return false;
	return !text || [e.domain, e.limit, e.text, e.request_id, ...(e.entries ?? []).map(({ key, value }) => `${key}=${value}`), ...Object.values(e.fields ?? {})]
		.some((part) => part?.toLowerCase().includes(text));
}

function tell() {
	const shown = body.rows.length;
	document.getElementById("none").hidden = kept.length > 0;
	document.getElementById("nomatch").hidden = kept.length === 0 || shown > 0;
	count.textContent = kept.length === 0 ? "" : shown === kept.length ? `${shown} events` : `${shown} of ${kept.length} events`;
	pause.textContent = held === null ? "Pause" : held.length > 0 ? `Resume, ${held.length === most ? `${most}+` : held.length} new` : "Resume";
}

function showAll() {
	body.replaceChildren(...kept.filter(wanted).map(row));
	tell();
}

function add(events) { // the oldest first
	kept = [...events.toReversed(), ...kept].slice(0, most);
	if (events.length >= most) return showAll();
	const rows = events.filter(wanted).toReversed().map(row);
	body.prepend(...rows);
	while (body.rows.length > most) body.lastElementChild.remove();
	tell();
}

live(({ begin, events }) => {
	if (begin) {
		const last = kept[0]?.time ?? "";
		if (held === null) {
			kept = events.toReversed();
			return showAll();
		}
		held = events.filter((e) => e.time > last).slice(-most);
		return tell();
	}
	if (held === null) return add(events);
	held = [...held, ...events].slice(-most);
	tell();
}, "/api/v1/events/stream", "events");

pause.addEventListener("click", () => {
	const waiting = held;
	held = waiting === null ? [] : null;
	pause.setAttribute("aria-pressed", String(held !== null));
	announce(held === null ? "the events go on" : "the events pause");
	if (waiting !== null) add(waiting);
	else tell();
});
filter.addEventListener("input", showAll);
kind.addEventListener("change", showAll);
