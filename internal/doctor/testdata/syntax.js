// Says of each file given, a script or a module, what is wrong with its syntax.
const {readFileSync} = require('node:fs');
const vm = require('node:vm');
for (const name of process.argv.slice(2)) {
  const code = readFileSync(name, 'utf8');
  try {
    if (/^(import|export) /m.test(code)) {
      new vm.SourceTextModule(code); // parses, links nothing
    } else {
      new vm.Script(code);
    }
  } catch (e) {
    console.log(`${name}: ${e}`);
  }
}
