// A session of the unmodified client: node session.mjs <package> <address> <tokens as JSON>.
// It prints the method and the path of each request as JSON.
import assert from "node:assert/strict";

const [, , client, baseUrl, tokens] = process.argv;
const { MastraClient } = await import(client);

const requests = new Set();
const plainFetch = globalThis.fetch;
globalThis.fetch = async (url, options = {}) => {
  const path = new URL(url).pathname.replace("/api/", "");
  requests.add(`${options.method ?? "GET"} ${path}`);
  return plainFetch(url, options);
};

function as(user) {
  const headers = { Authorization: `Token ${JSON.parse(tokens)[user].token}` };
  return new MastraClient({ baseUrl, headers, retries: 0 });
}

async function refused(promise, status) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.status, status, error.message);
    assert.equal(typeof error.body.error, "string");
    return true;
  });
}

const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const [ann, bob, staff] = ["ann", "bob", "staff"].map(as);
const resourceId = JSON.parse(tokens).ann.resource;
const agentId = "assistant";
const chat = { threadId: "chat", agentId };

function message(id, role, text, second) {
  return {
    id,
    role,
    threadId: "chat",
    resourceId,
    createdAt: new Date(Date.UTC(2026, 0, 2, 3, 4, second)),
    content: { format: 2, parts: [{ type: "text", text }], metadata: { number: second } },
  };
}

// Threads

const created = await ann.createMemoryThread({
  ...chat,
  resourceId,
  title: "Lunch",
  metadata: { channel: "web", nested: { a: [1, null] } },
});
assert.match(created.createdAt, DATE);
assert.match(created.updatedAt, DATE);
assert.deepEqual(
  { ...created, createdAt: 0, updatedAt: 0 },
  {
    id: "chat",
    resourceId,
    title: "Lunch",
    metadata: { channel: "web", nested: { a: [1, null] } },
    createdAt: 0,
    updatedAt: 0,
  },
);
await ann.createMemoryThread({ agentId, resourceId, threadId: "second" });

const listed = await ann.listMemoryThreads({
  resourceId,
  agentId,
  page: 0,
  perPage: 1,
  orderBy: { field: "createdAt", direction: "ASC" },
});
assert.deepEqual(
  { ...listed, threads: listed.threads.map((thread) => thread.id) },
  { threads: ["chat"], total: 2, page: 0, perPage: 1, hasMore: true },
);
const filtered = await ann.listMemoryThreads({ resourceId, metadata: { channel: "web" } });
assert.deepEqual(
  filtered.threads.map((thread) => thread.id),
  ["chat"],
);

const thread = ann.getMemoryThread(chat);
assert.equal((await thread.get()).title, "Lunch");
const changed = await thread.update({ title: "Dinner", metadata: { channel: "app" }, resourceId });
assert.deepEqual([changed.title, changed.metadata], ["Dinner", { channel: "app" }]);

// Messages

const call = {
  ...message("answer", "assistant", "The lentil soup.", 2),
  content: {
    format: 2,
    parts: [
      { type: "step-start" },
      {
        type: "tool-invocation",
        toolInvocation: {
          state: "result",
          toolCallId: "call-1",
          toolName: "menu",
          args: { day: "today" },
          result: { soup: "lentil" },
        },
      },
      { type: "text", text: "The lentil soup." },
      { type: "something-new", kept: { as: "it is" } },
    ],
    content: "The lentil soup.",
    metadata: { modelId: "m" },
  },
};
const question = message("question", "user", "What can I eat?", 1);
const saved = await ann.saveMessageToMemory({ agentId, messages: [question, call] });
const expected = JSON.parse(JSON.stringify([question, call]));
assert.deepEqual(saved.messages, expected);
assert.deepEqual((await ann.saveMessageToMemory({ agentId, messages: [call] })).messages, [
  expected[1],
]);

assert.deepEqual(await thread.listMessages(), {
  messages: expected,
  total: 2,
  page: 0,
  perPage: 40,
  hasMore: false,
  uiMessages: null,
});
async function ids(query) {
  return (await thread.listMessages(query)).messages.map((each) => each.id);
}
assert.deepEqual(await ids({ perPage: 1 }), ["answer"]); // the newest page, with an agent
assert.deepEqual(await ids({ perPage: 1, orderBy: { field: "createdAt", direction: "ASC" } }), [
  "question",
]);
assert.deepEqual(await ids({ filter: { metadata: { modelId: "m" } } }), ["answer"]);
assert.deepEqual(await ids({ filter: { roles: ["user"] } }), ["question"]);
assert.deepEqual(await ids({ filter: { dateRange: { start: new Date(call.createdAt) } } }), [
  "answer",
]);
assert.deepEqual(await ids({ perPage: 0, include: [{ id: "answer", withPreviousMessages: 1 }] }), [
  "question",
  "answer",
]);
const direct = await ann.listThreadMessages("chat", { agentId });
assert.equal(direct.messages.length, 2);

// Working memory, search, configuration

assert.deepEqual(
  await ann.updateWorkingMemory({ ...chat, resourceId, workingMemory: "Likes soup" }),
  { success: true },
);
assert.deepEqual(await ann.getWorkingMemory({ ...chat, resourceId }), {
  workingMemory: "Likes soup",
  source: "resource",
  workingMemoryTemplate: null,
  threadExists: true,
});
await refused(ann.getWorkingMemory(chat), 403); // the client sends the text `undefined`

const search = await ann.searchMemory({ agentId, resourceId, searchQuery: "lentil soup" });
assert.equal(search.results[0].id, "answer");
assert.equal(search.results[0].content, "The lentil soup.");
assert.equal(search.results[0].context.before[0].id, "question");
assert.deepEqual(
  [search.count, search.query, search.searchScope, search.searchType],
  [search.results.length, "lentil soup", "resource", "semantic"],
);
assert.equal((await ann.getMemoryStatus(agentId)).result, true);
assert.equal((await ann.getMemoryConfig({ agentId })).config.lastMessages, 10);

// Clones and transfers

const clone = await thread.clone({ newThreadId: "copy", options: { messageLimit: 1 } });
assert.equal(clone.thread.metadata.clone.sourceThreadId, "chat");
assert.deepEqual(
  clone.clonedMessages.map((each) => each.content.parts.length),
  [4],
);
if (thread.transfer) {
  await refused(ann.getMemoryThread({ threadId: "copy", agentId }).transfer({ resourceId: "x" }), 403);
  const moved = await staff
    .getMemoryThread({ threadId: "copy", agentId })
    .transfer({ resourceId: JSON.parse(tokens).bob.resource });
  assert.equal(moved.resourceId, JSON.parse(tokens).bob.resource);
  assert.equal((await bob.getMemoryThread({ threadId: "copy" }).get()).id, "copy");
}

// Another user

const foreign = bob.getMemoryThread(chat);
await refused(foreign.get(), 403);
await refused(foreign.listMessages({ resourceId }), 403);
await refused(foreign.update({ title: "Taken" }), 403);
await refused(foreign.delete(), 403);
await refused(foreign.clone(), 403);
await refused(bob.listMemoryThreads({ resourceId }), 403);
await refused(bob.saveMessageToMemory({ agentId, messages: [question] }), 403);
await refused(bob.getWorkingMemory({ ...chat, resourceId }), 403);
await refused(bob.searchMemory({ agentId, resourceId, searchQuery: "soup" }), 403);
await refused(bob.createMemoryThread({ agentId, resourceId, threadId: "bobs" }), 403);
assert.equal((await foreign.deleteMessages(["answer"])).message.slice(0, 2), "0 ");
await refused(ann.getMemoryThread({ threadId: "unknown" }).get(), 404);
await refused(ann.createMemoryThread({ agentId, resourceId: 7 }), 400);
assert.equal((await ann.listThreadMessages("chat")).total, 2);

// Vectors

const [store] = (await ann.listVectors()).vectors;
assert.deepEqual(Object.keys(store), ["id", "name", "type"]);
assert.equal((await ann.listEmbedders()).embedders.length, 1);
const [index, shared] = [ann.getVector(store.name), staff.getVector(store.name)];
await refused(index.createIndex({ indexName: "docs", dimension: 2 }), 403);
const definition = { indexName: "docs", dimension: 2, metric: "cosine" };
assert.deepEqual(await shared.createIndex(definition), { success: true });
await refused(shared.createIndex({ ...definition, dimension: 3 }), 409);
assert.deepEqual(
  await index.upsert({
    indexName: "docs",
    vectors: [
      [1, 0],
      [0, 1],
    ],
    metadata: [{ lang: "en" }, { lang: "de" }],
    ids: ["east", "north"],
  }),
  { ids: ["east", "north"] },
);
const nearest = { indexName: "docs", queryVector: [1, 0] };
assert.deepEqual(
  await index.query({ ...nearest, topK: 1, filter: { $not: { lang: "de" } }, includeVector: true }),
  [{ id: "east", score: 1, metadata: { lang: "en" }, vector: [1, 0] }],
);
assert.deepEqual(await bob.getVector(store.name).query(nearest), []);
await refused(index.query({ ...nearest, filter: { lang: { $regex: "e" } } }), 400);
await refused(index.query({ ...nearest, queryVector: [1] }), 400);
await refused(index.query({ ...nearest, indexName: "unknown" }), 404);
assert.ok((await shared.getIndexes()).includes("docs"));
assert.deepEqual(await shared.details("docs"), { dimension: 2, count: 2, metric: "cosine" });
assert.deepEqual(await shared.delete("docs"), { success: true });

// Deletions

assert.deepEqual(await thread.deleteMessages([{ id: "question" }]), {
  success: true,
  message: "1 message deleted successfully",
});
assert.deepEqual(await thread.delete(), { result: "Thread deleted" });
assert.deepEqual(await ann.deleteThread("second", { agentId }), { result: "Thread deleted" });
await refused(thread.get(), 404);

console.log(JSON.stringify([...requests]));
