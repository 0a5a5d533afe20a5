import { announce, ask, chart, duration, every, live, make, number, Problem } from "./weir.js";

const { domain, limit, kind } = document.getElementById("limit").dataset;
const named = (path, more = {}) => `${path}/${encodeURIComponent(limit)}?${new URLSearchParams({ domain, ...more })}`;

// What happens at the limit.
if (kind === "limit") {
	const use = chart("use", [
		{ text: "admitted", colour: "--c-admitted", fill: true, show: (n) => `${number(n)}/s` },
		{ text: "refused", colour: "--c-refused", fill: true, show: (n) => `${number(n)}/s` },
	]);
	const add = (time, c) => use.add(time, c.admitted, c.refused + c.shadow_refused);
	const counts = (c) => {
		document.querySelector("[data-count=admitted]").textContent = number(c.admitted);
		document.querySelector("[data-count=refused]").textContent = number(c.refused + c.shadow_refused);
	};
	every(5, async () => {
		const told = await ask("GET", named("/api/v1/traffic/limits"));
		const end = Math.round(Date.parse(told.now) / 1000);
		told.seconds.steps.forEach((step, i) => add(end - told.seconds.steps.length + 1 + i, step));
		use.show();
		counts(told.last_minute);
		await keys(told.keys);
	});
	live((event) => {
		const here = event.limits.find((l) => l.domain === domain && l.limit === limit);
		add(Math.round(Date.parse(event.time) / 1000), here ?? { admitted: 0, refused: 0, shadow_refused: 0 });
		use.show();
	});
} else {
	document.getElementById("live").hidden = true;
}

/** keys lists the keys that use the limit most, with where their buckets stand. */
async function keys(told) {
	const top = told.top.slice(0, 10);
	const levels = await Promise.all(top.map((key) => level(key).catch(() => null)));
	document.getElementById("keys-empty").hidden = top.length > 0;
	document.getElementById("keys").hidden = top.length === 0;
	document.getElementById("keys-since").textContent = top.length === 0 ? "" :
		`of the last ${minutes((Date.now() - Date.parse(told.since)) / 1000)}${told.one_in > 1 ? `, 1 request in ${told.one_in} is looked at` : ""}${told.max_error > 0 ? `, each at most ${number(told.max_error)} too high` : ""}`;
	document.querySelector("#keys tbody").replaceChildren(...top.map((key, i) => make("tr", {},
		make("td", { class: "key" }, make("code", { title: key.text }, key.text || "all")),
		make("td", { class: "num" }, number(key.hits)),
		make("td", {}, meter(told.hits > 0 ? Math.round((100 * key.hits) / told.hits) : 0, "of all requests", "share")),
		make("td", { class: key.refused > 0 ? "num bad" : "num" }, number(key.refused)),
		make("td", {}, levels[i] ? meter(Math.round((100 * levels[i].used) / Math.max(1, levels[i].capacity)), "of the bucket is used", "", `${number(levels[i].used)} of ${number(levels[i].capacity)}`) : make("span", { class: "muted" }, "–")),
	)));
}

const minutes = (seconds) => (seconds < 90 ? `${Math.max(1, Math.round(seconds))} s` : `${Math.round(seconds / 60)} min`);

async function level(key) {
	if (key.entries.length === 0 || key.entries.some((e) => e.hidden)) return null;
	const query = new URLSearchParams({ domain });
	for (const { key: name, value } of key.entries) query.append("entry", `${name}=${value}`);
	const { levels } = await ask("GET", `/api/v1/buckets?${query}`);
	return levels.find((l) => l.limit === limit && l.capacity > 0);
}

function meter(percent, label, mark, text = `${percent} %`) {
	const part = Math.min(100, percent);
	return make("span", { class: "meter" },
		make("svg", { viewBox: "0 0 100 6", width: 72, height: 6, preserveAspectRatio: "none", role: "img", "aria-label": `${percent} % ${label}` },
			make("rect", { class: "track", width: 100, height: 6, rx: 2 }),
			make("rect", { class: `fill ${mark || (percent >= 100 ? "full" : percent >= 80 ? "near" : "")}`, width: part, height: 6, rx: 2 })),
		make("span", {}, text));
}

// What is set of it.
const form = document.getElementById("override");
const errorAt = document.getElementById("override-error");
const preview = document.getElementById("preview");

function changed() {
	const what = form.elements.what.value;
	document.getElementById("numbers").hidden = what !== "numbers";
	preview.hidden = true;
}

/** body is what the form asks the API to set. A number that is none goes as it is: what
 * is wrong with it is for weir to say. */
function body() {
	const value = (name) => form.elements[name]?.value.trim() ?? "";
	const asked = {};
	const what = value("what");
	if (what === "off") asked.enabled = false;
	if (what === "blocked" || what === "unlimited") asked[what] = true;
	if (what === "numbers") {
		if (value("rate")) asked.rate = value("rate");
		for (const name of ["burst", "slots"]) {
			if (value(name)) asked[name] = /^\d{1,15}$/.test(value(name)) ? Number(value(name)) : value(name);
		}
	}
	if (value("for")) {
		asked.for = Object.fromEntries(value("for").split(/\s*,\s*/).map((pair) => {
			const at = pair.indexOf("=");
			if (at < 1) throw new Problem(0, { field: "for", detail: `"${pair}" is not KEY=VALUE`, remedy: "write it as in user=alice" });
			return [pair.slice(0, at), pair.slice(at + 1)];
		}));
	}
	for (const name of ["ttl", "author", "reason"]) {
		if (value(name)) asked[name] = value(name);
	}
	asked.version = Number(document.querySelector(`[data-version][data-for="${CSS.escape(forText(asked.for))}"]`)?.dataset.version ?? 0);
	return asked;
}

const forText = (key = {}) => Object.keys(key).sort().map((name) => `${name}=${key[name]}`).join(", ");

function clearErrors() {
	errorAt.hidden = true;
	for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
	for (const told of form.querySelectorAll(".field > .error")) {
		form.querySelector(`[aria-errormessage="${told.id}"]`)?.removeAttribute("aria-errormessage");
		told.remove();
	}
}

/** showProblem shows what is wrong at the field that is at fault, or above the buttons. */
function showProblem(problem) {
	const text = problem.remedy ? `${problem.message}: ${problem.remedy}` : problem.message;
	const field = form.elements[problem.field.split(/[.[]/)[0]];
	preview.hidden = true;
	if (problem.status === 409) {
		errorAt.textContent = "Somebody else has set it since this page was loaded: load it again, and look at what is set now.";
		errorAt.hidden = false;
	} else if (field instanceof HTMLElement && field.offsetParent) {
		const told = make("p", { class: "error", id: `${field.id}-error` }, text.replace(new RegExp(`^${problem.field}: `), ""));
		field.setAttribute("aria-invalid", "true");
		field.setAttribute("aria-errormessage", told.id);
		field.closest(".field").append(told);
		field.focus();
	} else {
		errorAt.textContent = text;
		errorAt.hidden = false;
	}
	announce(text);
}

function sets(change) {
	const parts = [];
	if (change.enabled === false) parts.push("off");
	if (change.blocked) parts.push("blocked");
	if (change.unlimited) parts.push("unlimited");
	for (const name of ["rate", "burst", "slots"]) {
		if (change[name] !== undefined) parts.push(`${name} ${change[name]}`);
	}
	return parts.join(", ");
}

function showPreview({ change, before }) {
	const until = change.expires ? `until ${new Date(change.expires).toLocaleString()}` : "until it is undone";
	preview.replaceChildren(make("div", {},
		make("strong", {}, "This would hold: "), `${sets(change)} for ${forText(change.for) || "all keys"}, ${until}.`,
		make("br"), before ? `It replaces ${sets(before)}.` : "Nothing was set before: the rule files were in force."));
	preview.hidden = false;
	announce(preview.textContent);
}

/** busy keeps a button from being pressed twice. */
async function busy(button, what) {
	button.disabled = true;
	try {
		await what();
	} finally {
		button.disabled = false;
	}
}

form?.addEventListener("submit", (event) => {
	event.preventDefault();
	const button = event.submitter ?? form.querySelector("[value=apply]");
	const dry = button.value === "preview";
	clearErrors();
	busy(button, async () => {
		try {
			const told = await ask("PUT", named("/api/v1/limits", dry ? { dry_run: "true" } : {}), body());
			if (dry) showPreview(told);
			else location.reload();
		} catch (problem) {
			if (!(problem instanceof Problem)) throw problem;
			showProblem(problem);
		}
	});
});
form?.elements.what.addEventListener("change", changed);
form?.addEventListener("input", () => (preview.hidden = true));
if (form) changed();

for (const button of document.querySelectorAll("[data-undo]")) {
	button.addEventListener("click", () => {
		if (button.dataset.sure !== "true") {
			button.dataset.sure = "true";
			button.textContent = "Really undo";
			button.addEventListener("blur", () => {
				button.dataset.sure = "false";
				button.textContent = "Undo";
			}, { once: true });
			return;
		}
		busy(button, async () => {
			try {
				await ask("DELETE", `/api/v1/limits/${encodeURIComponent(limit)}?${button.dataset.undo}`);
				location.reload();
			} catch (problem) {
				button.textContent = "Not undone";
				button.title = problem.message;
				announce(problem.message);
			}
		});
	});
}
