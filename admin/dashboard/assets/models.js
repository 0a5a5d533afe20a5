// The page of model limits: what is no JSON is told as soon as the field is left. All
// else the server checks, when the form is sent.
import { announce } from "./weir.js";

for (const form of document.querySelectorAll("form[data-groups]")) {
	const field = form.querySelector("textarea[name=groups]");
	const told = document.getElementById(field.getAttribute("aria-describedby").split(" ")[0]);
	const sent = { text: field.value, fault: told.textContent };
	field.addEventListener("blur", () => {
		let fault = field.value === sent.text ? sent.fault : "";
		try {
			const table = JSON.parse(field.value);
			if (table === null || typeof table !== "object" || Array.isArray(table)) fault = 'groups must be an object, as in {"default": [200, 100]}';
		} catch (error) {
			fault = `groups is no JSON: ${error.message}`;
		}
		told.textContent = fault;
		if (fault) field.setAttribute("aria-invalid", "true");
		else field.removeAttribute("aria-invalid");
	});
}
const saved = document.querySelector("[id^=saved-]");
if (saved) {
	saved.scrollIntoView({ block: "nearest" });
	announce(saved.textContent);
}
