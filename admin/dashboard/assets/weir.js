// What the pages share. What is shown is always set as text (textContent): the pages'
// Content-Security-Policy forbids making HTML of one.

const spellsOfSeconds = [["y", 31536000], ["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** ago is a time in words relative to now: "3 min ago", "in 2 h". */
export function ago(at, now = Date.now()) {
	const seconds = Math.round((now - at) / 1000);
	const size = Math.abs(seconds);
	if (size < 2) return "now";
	const first = spellsOfSeconds.findIndex(([, each]) => size >= each);
	const [unit, each] = spellsOfSeconds[first];
	let text = `${Math.floor(size / each)} ${unit}`;
	if (each >= 3600) { // of an hour or more what is left matters, too
		const [smaller, part] = spellsOfSeconds[first + 1];
		const rest = Math.floor((size % each) / part);
		if (rest > 0) text += ` ${rest} ${smaller}`;
	}
	return seconds > 0 ? `${text} ago` : `in ${text}`;
}

/** number is a number as it is shown: whole below 10,000 with thin spaces, else short as in 12.3k. */
export function number(n) {
	if (n == null || !Number.isFinite(n)) return "–";
	for (const [unit, each] of [["G", 1e9], ["M", 1e6], ["k", 1e4]]) {
		if (Math.abs(n) >= each) return `${short(n / (unit === "k" ? 1e3 : each))}${unit}`;
	}
	return short(n);
}

function short(n) {
	const size = Math.abs(n);
	const text = size >= 100 || Number.isInteger(n) ? n.toFixed(0) : String(Number(n.toFixed(size >= 10 ? 1 : 2)));
	return text.replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

/** duration is a number of seconds in the unit that fits: "850 µs", "1.2 ms". */
export function duration(seconds) {
	if (seconds == null || !Number.isFinite(seconds)) return "–";
	if (seconds === 0) return "0 s";
	const [unit, each] = [["s", 1], ["ms", 1e-3], ["µs", 1e-6]].find(([, each]) => seconds >= each) ?? ["µs", 1e-6];
	return `${short(seconds / each)} ${unit}`;
}

/** make makes an element with attributes and children, which are elements or texts. */
export function make(name, attributes = {}, ...children) {
	const svg = ["svg", "path", "rect", "line", "circle", "polyline"].includes(name);
	const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
	for (const [key, value] of Object.entries(attributes)) {
		if (value != null && value !== false) made.setAttribute(key, value === true ? "" : value);
	}
	made.append(...children.filter((child) => child != null));
	return made;
}

/** announce tells something to who listens to the page. */
export function announce(text) {
	document.getElementById("announce").textContent = text;
}

/** Problem is an error as the API tells it, with the field at fault and the remedy. */
export class Problem extends Error {
	constructor(status, told) {
		super(told.detail ?? `the answer has the status ${status}`);
		Object.assign(this, { status, field: told.field ?? "", remedy: told.remedy ?? "", version: told.version });
	}
}

/** ask asks the API, as the caller that the page has, and answers what it says. A
 * refusal is a Problem; one because the session is over leads to the login. */
export async function ask(method, path, body) {
	let answer;
	try {
		answer = await fetch(path, {
			method, headers: body === undefined ? {} : { "Content-Type": "application/json" },
			body: body === undefined ? undefined : JSON.stringify(body),
		});
	} catch {
		throw new Problem(0, { detail: "weir does not answer", remedy: "is it still running, and is the network up?" });
	}
	if (answer.status === 401) {
		location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
	}
	const told = await answer.json().catch(() => ({}));
	if (!answer.ok) throw new Problem(answer.status, told);
	return told;
}

/** canChange tells whether the caller may change something. */
export const canChange = () => document.body.dataset.role === "operator";

function showTimes() {
	for (const time of document.querySelectorAll("time[datetime]")) {
		const text = ago(Date.parse(time.dateTime));
		if (time.textContent !== text) time.textContent = text;
	}
}

function setTheme(theme) {
	const lasts = theme === "" ? 0 : 31536000;
	document.cookie = `weir-theme=${theme}; path=/; max-age=${lasts}; samesite=strict`;
	if (theme === "") delete document.documentElement.dataset.theme;
	else document.documentElement.dataset.theme = theme;
	for (const button of document.querySelectorAll("[data-set-theme]")) {
		button.setAttribute("aria-pressed", String(button.dataset.setTheme === theme));
	}
	dispatchEvent(new Event("weir-theme"));
}

for (const button of document.querySelectorAll("[data-set-theme]")) {
	button.addEventListener("click", () => setTheme(button.dataset.setTheme));
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("weir-theme")));
showTimes();
setInterval(showTimes, 1000);

/** live calls onEvent with what happens each second, or what another stream tells, and
 * tells in the page whether it is told. A page that nobody sees is told nothing. */
export function live(onEvent, stream = "/api/v1/traffic/stream", kind = "traffic") {
	const shown = document.getElementById("live");
	const text = document.getElementById("live-text");
	const tell = (state, words) => {
		shown.dataset.state = state;
		if (text.textContent !== words) text.textContent = words;
	};
	let source;
	const open = () => {
		source = new EventSource(stream);
		source.addEventListener("open", () => tell("on", "live"));
		source.addEventListener(kind, (event) => {
			tell("on", "live");
			onEvent(JSON.parse(event.data));
		});
		source.addEventListener("error", () => {
			tell("off", "not connected, trying again");
			if (source.readyState === EventSource.CLOSED) again = setTimeout(open, 5000);
		});
	};
	let again;
	const close = () => {
		clearTimeout(again);
		source?.close();
	};
	document.addEventListener("visibilitychange", () => {
		close();
		if (!document.hidden) open();
	});
	addEventListener("pagehide", close);
	open();
}

/** every calls what now and after each so many seconds, while somebody sees the page. */
export function every(seconds, what) {
	const run = () => document.hidden || Promise.resolve(what()).catch(() => {}); // the page says so by its age
	run();
	setInterval(run, seconds * 1000);
}

const numbers = (text) => (text ? text.split(",").map(Number) : []);

/** spark draws admitted and refused counts into a small SVG, the newest at its right. */
export function spark(svg, admitted, refused) {
	const [width, height, steps] = [90, 22, 30];
	const most = Math.max(1, ...admitted.map((n, i) => n + refused[i]));
	const each = width / steps;
	const bars = [];
	admitted.forEach((n, i) => {
		const x = width - (admitted.length - i) * each;
		let y = height;
		for (const [name, count] of [["admitted", n], ["refused", refused[i]]]) {
			if (count <= 0) continue;
			const tall = Math.max(1, (count / most) * (height - 1));
			y -= tall;
			bars.push(make("rect", { class: `bar-${name}`, x: x.toFixed(1), y: Math.max(0, y).toFixed(1), width: (each - 0.6).toFixed(1), height: tall.toFixed(1) }));
		}
	});
	svg.replaceChildren(make("line", { x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5, class: "base" }), ...bars);
}

/** rows keeps the table of limits up to date: the counts with each second, the rest
 * every ten. */
export function rows() {
	const byName = new Map();
	for (const row of document.querySelectorAll("table.rows tr[data-limit]")) {
		const picture = row.querySelector(".spark");
		const at = { row, admitted: 0, refused: 0, picture, steps: [numbers(picture.dataset.admitted), numbers(picture.dataset.refused)] };
		spark(picture, ...at.steps);
		byName.set(`${row.dataset.domain}\n${row.dataset.limit}`, at);
	}
	const find = (limit) => byName.get(`${limit.domain}\n${limit.limit}`);
	const show = (at) => {
		const admitted = at.row.querySelector("[data-cell=admitted]");
		admitted.textContent = number(at.admitted);
		admitted.classList.toggle("zero", at.admitted === 0);
		const refused = at.row.querySelector("[data-cell=refused]");
		refused.textContent = number(at.refused);
		refused.classList.toggle("bad", at.refused > 0);
		refused.classList.toggle("zero", at.refused === 0);
		const state = at.row.querySelector("[data-cell=state]");
		const words = at.refused > 0 ? (at.shadow ? ["over, shadow", "warn"] : ["over", "bad"]) : null;
		if (words && state.textContent !== "off") {
			state.textContent = words[0];
			state.className = `badge badge-${words[1]}`;
		} else if (state.textContent.startsWith("over") || (state.textContent === "idle" && at.admitted > 0)) {
			state.textContent = "ok";
			state.className = "badge badge-good";
		}
	};
	const sync = async () => {
		if (byName.size === 0) return;
		const told = await ask("GET", "/api/v1/traffic");
		for (const limit of told.limits) {
			const at = find(limit);
			if (!at) continue;
			const minute = limit.last_minute;
			at.admitted = minute.admitted;
			at.refused = minute.refused + minute.shadow_refused;
			at.shadow = minute.refused === 0;
			at.steps = [limit.spark.admitted, limit.spark.refused];
			spark(at.picture, ...at.steps);
			show(at);
		}
	};
	every(10, sync);
	return (event) => {
		for (const limit of event.limits) {
			const at = find(limit);
			if (!at) continue;
			at.admitted += limit.admitted;
			at.refused += limit.refused + limit.shadow_refused;
			if (limit.refused > 0) at.shadow = false;
			show(at);
		}
	};
}

/** decades are where a logarithmic axis has marks: fewer where it spans more. */
function decades(_, axis, least, most) {
	const marks = [];
	for (let power = Math.floor(Math.log10(least)); power <= Math.ceil(Math.log10(most)); power++) {
		for (const digit of most / least > 50 ? [1] : [1, 2, 5]) {
			const mark = digit * 10 ** power;
			if (mark >= least * 0.999 && mark <= most * 1.001) marks.push(mark);
		}
	}
	return marks;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** chart draws series over time into #chart-NAME, with a legend in #legend-NAME that
 * shows the newest values, or those under the pointer. log: the scale is logarithmic. A series is {text, colour, fill,
 * show}: show makes text of a value. Give add a time in seconds and a value of each. */
export function chart(name, series, { keep = 300, log = false } = {}) {
	const place = document.getElementById(`chart-${name}`);
	const legend = document.getElementById(`legend-${name}`);
	const data = [[], ...series.map(() => [])];
	const values = series.map(({ text, colour: of }) => {
		const value = make("b", {}, "–");
		legend.append(make("span", { class: "legend-item" }, make("svg", { class: `swatch ${of.slice(2)}`, viewBox: "0 0 10 10", width: 10, height: 10, "aria-hidden": "true" }, make("rect", { width: 10, height: 10, rx: 2 })), text, " ", value));
		return value;
	});
	let plot;
	const tell = (at) => values.forEach((value, i) => (value.textContent = at < 0 || data[i + 1][at] == null ? "–" : series[i].show(data[i + 1][at])));
	const draw = () => {
		plot?.destroy();
		const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
		plot = new uPlot({
			width: place.clientWidth, height: 200, legend: { show: false }, padding: [8, 28, 0, 0],
			cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
			scales: { x: { range: (_, from, to) => (data[0].length > 0 ? [Math.min(from, to - 60), to] : [Date.now() / 1000 - 60, Date.now() / 1000]) }, y: log ? { distr: 3 } : { range: (_, least, most) => [0, most > 0 ? most * 1.1 : 5] } },
			axes: [{ ...axis, space: 90, size: 28, values: (_, ticks) => ticks.map((t) => new Date(t * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false })) },
				{ ...axis, size: 64, splits: log ? decades : undefined, values: (_, ticks) => ticks.map((v) => (v == null ? "" : series[0].show(v))) }],
			series: [{}, ...series.map((s) => ({ stroke: colour(s.colour), width: 1.5, points: { show: false }, fill: s.fill ? `${colour(s.colour)}22` : undefined }))],
			hooks: { setCursor: [(u) => tell(u.cursor.idx ?? data[0].length - 1)] },
		}, data, place);
	};
	draw();
	new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: 200 })).observe(place);
	addEventListener("weir-theme", draw);
	place.setAttribute("role", "img");
	return {
		add(time, ...row) {
			let at = data[0].length; // the past may be told after the present
			while (at > 0 && data[0][at - 1] > time) at--;
			if (data[0][at - 1] === time || (at === 0 && data[0].length >= keep)) return;
			[time, ...row].forEach((value, i) => data[i].splice(at, 0, value));
			if (data[0].length > keep) data.forEach((column) => column.shift());
		},
		show() {
			plot.setData(data);
			tell(plot.cursor.idx ?? data[0].length - 1);
			place.toggleAttribute("data-empty", data.slice(1).every((column) => column.every((value) => value == null)));
			place.setAttribute("aria-label", `A chart of the last ${duration(data[0].length)}; now ${series.map((s, i) => `${s.text} ${values[i].textContent}`).join(", ")}`);
		},
	};
}
