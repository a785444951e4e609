// The same handler on node's own HTTP server.
import { createServer } from "node:http";

const server = createServer((request, response) => response.end("Hello, World!"));
server.listen(0, "127.0.0.1", () => console.log(`ready http=127.0.0.1:${server.address().port}`));
