// A fresh vm context for every call. Each line on stdin is a number of calls; each line on stdout is {microseconds, answer}.
const vm = require("node:vm");
const lines = require("node:readline").createInterface({ input: process.stdin });
let script, question;
lines.on("line", (line) => {
  if (script === undefined) {
    const first = JSON.parse(line);
    script = new vm.Script(first.script);
    question = first.question;
    return;
  }
  const calls = Number(line);
  let answer;
  const before = process.cpuUsage();
  for (let call = 0; call < calls; call++) {
    const context = vm.createContext({ question });
    script.runInContext(context);
    answer = vm.runInContext("applyJson(question)", context);
  }
  const { user, system } = process.cpuUsage(before);
  process.stdout.write(JSON.stringify({ microseconds: user + system, answer }) + "\n");
});
