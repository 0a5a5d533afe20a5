import { live, rows } from "./weir.js";

live(rows());
document.querySelector(".bar select").addEventListener("change", (event) => event.target.form.requestSubmit());
