// The texts of a page that are too near in colour to what they stand on.
(() => {
	const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	function rgba(colour) {
		canvas.clearRect(0, 0, 1, 1);
		canvas.fillStyle = colour;
		canvas.fillRect(0, 0, 1, 1);
		const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
		return [r, g, b, a / 255];
	}
	const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
	function ground(element) {
		const layers = [];
		for (let e = element; e; e = e.parentElement) {
			const colour = rgba(getComputedStyle(e).backgroundColor);
			if (colour[3] > 0) layers.push(colour);
			if (colour[3] === 1) break;
		}
		return layers.reduceRight((under, layer) => over(layer, under), [255, 255, 255, 1]);
	}
	function luminance([r, g, b]) {
		const [R, G, B] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
		return 0.2126 * R + 0.7152 * G + 0.0722 * B;
	}
	const faults = new Set();
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	let looked = 0;
	while (texts.nextNode()) {
		const text = texts.currentNode.textContent.trim();
		const element = texts.currentNode.parentElement;
		if (!text || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) || element.closest(".away, :disabled, script, style")) continue;
		looked++;
		const style = getComputedStyle(element);
		const under = ground(element);
		const svg = element.namespaceURI.endsWith("svg");
		const [light, dark] = [luminance(over(rgba(svg ? style.fill : style.color), under)), luminance(under)].sort((a, b) => b - a);
		const ratio = (light + 0.05) / (dark + 0.05);
		const size = parseFloat(style.fontSize);
		const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
		if (ratio < (large ? 3 : 4.5)) faults.add(`${ratio.toFixed(2)}: "${text.slice(0, 60)}" in ${element.tagName.toLowerCase()}.${element.getAttribute("class") ?? ""}`);
	}
	if (looked === 0) faults.add("the page has no text");
	return [...faults];
})()
