// What the pages share. What is shown is always set as text (textContent): the pages'
// Content-Security-Policy forbids making HTML of one.

const spellsOfSeconds = [["y", 31536000], ["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** ago is a time in words relative to now: "3 min ago", "in 2 h". */
export function ago(at, now = Date.now()) {
	const seconds = Math.round((now - at) / 1000);
	const size = Math.abs(seconds);
	if (size < 2) return "now";
	const [unit, each] = spellsOfSeconds.find(([, each]) => size >= each);
	const text = `${Math.floor(size / each)} ${unit}`;
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
	const digits = Math.abs(n) >= 100 || Number.isInteger(n) ? 0 : Math.abs(n) >= 10 ? 1 : 2;
	return n.toFixed(digits).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
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
