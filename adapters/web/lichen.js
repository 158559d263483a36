// Live queries and shared texts of a program with lichen, for its pages. See docs/howto/asgi.md.

export { live, showIn } from "./live.js";
export { bindText } from "./text.js";
