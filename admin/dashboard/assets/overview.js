import { ask, chart, duration, every, live, number, rows } from "./weir.js";

const tiles = Object.fromEntries([...document.querySelectorAll("[data-tile]")].map((tile) => [tile.dataset.tile, tile]));
const tile = (name, text) => {
	if (tiles[name] && tiles[name].textContent !== text) tiles[name].textContent = text;
};
const requests = chart("decisions", [
	{ text: "admitted", colour: "--c-admitted", fill: true, show: (n) => `${number(n)}/s` },
	{ text: "refused", colour: "--c-refused", fill: true, show: (n) => `${number(n)}/s` },
	{ text: "held", colour: "--c-waiting", show: (n) => `${number(n)}/s` },
]);
const latency = chart("latency", [
	{ text: "p50", colour: "--c-admitted", show: duration },
	{ text: "p99", colour: "--c-waiting", show: duration },
], { log: true });

function add(time, s) {
	const asked = s.admitted + s.refused + s.errors > 0;
	requests.add(time, s.admitted, s.refused, s.waited);
	latency.add(time, asked && s.p50_seconds > 0 ? s.p50_seconds : null, asked && s.p99_seconds > 0 ? s.p99_seconds : null);
}

function second(s, waiting, store) {
	tile("decisions", number(s.admitted + s.refused + s.errors));
	tile("refused", number(s.refused));
	tile("waiting", number(waiting));
	tile("store", store);
	tiles.store.className = store === "up" ? "good" : "bad";
	tile("breaker", store === "up" ? "breaker closed" : "breaker open");
}

function minute(s) {
	const all = s.admitted + s.refused + s.errors;
	tile("minute", number(s.admitted));
	tile("share", s.refused > 0 && s.refused < all / 100 ? "<1 %" : `${Math.round((100 * s.refused) / Math.max(1, all))} %`);
	tile("waited", number(s.waited));
	tile("p50", duration(s.p50_seconds || null));
	tile("p99", duration(s.p99_seconds || null));
	tile("p999", duration(s.p999_seconds || null));
	tile("storeErrors", s.store_errors === 1 ? "1 error" : `${number(s.store_errors)} errors`);
}

const updateRows = rows();
every(10, async () => {
	const { now, service } = await ask("GET", "/api/v1/traffic");
	const end = Math.round(Date.parse(now) / 1000);
	service.seconds.steps.forEach((step, i) => add(end - service.seconds.steps.length + 1 + i, step));
	requests.show();
	latency.show();
	second(service.last_second, service.waiting, service.store);
	minute(service.last_minute);
});
live((event) => {
	add(Math.round(Date.parse(event.time) / 1000), event.service);
	requests.show();
	latency.show();
	second(event.service, event.waiting, event.store);
	updateRows(event);
});
