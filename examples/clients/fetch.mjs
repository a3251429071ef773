// Node 18 or newer, nothing to install: node fetch.mjs "text"
const url = process.env.WEIR_URL ?? "http://127.0.0.1:9480";
const response = await fetch(`${url}/v1/check`, {
  method: "POST",
  headers: { "content-type": "application/json", "x-api-key": process.env.WEIR_KEY ?? "" },
  body: JSON.stringify({ app: "node", kind: "prompt", text: process.argv[2] ?? "" }),
});
const decision = await response.json();
if (!response.ok) {
  console.error(decision.error.message);
  process.exit(2);
}
console.log(decision.action, decision.rules.map((hit) => hit.rule).join(" "));
process.exit(["block", "escalate"].includes(decision.action) ? 3 : 0);
