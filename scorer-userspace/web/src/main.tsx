import { render } from "preact";
import "./style.css";
import { App } from "./app";
import { apply } from "./lib/theme";

apply();
const root = document.getElementById("app");
if (root) render(<App />, root);
