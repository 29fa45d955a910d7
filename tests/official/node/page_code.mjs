// Prints a request as the programs that the page shows for it.

const [, , home, , given] = process.argv;
const { module, request, hasKey } = JSON.parse(given);
const { asCode, isForOpenai } = await import(module);
const programs = ["curl", "python", "javascript"].map((name) => [name, asCode(name, request, { home, hasKey })]);
console.log(JSON.stringify({ ...Object.fromEntries(programs), openai: isForOpenai(request) }));
