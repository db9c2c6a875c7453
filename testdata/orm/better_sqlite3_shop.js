// A shop on better-sqlite3: each sale reads an order, thinks, and writes it, in one deferred
// transaction, which is the library's default.
//
// usage: better_sqlite3_shop.js FILE SALES MILLISECONDS
//
// It prints how many sales failed, and the last error.
'use strict';
const Database = require('better-sqlite3');

const [path, sales, thinking] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const db = new Database(path, { fileMustExist: true });
const nap = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
const read = db.prepare('SELECT total FROM shop_order WHERE id=?');
const write = db.prepare('UPDATE shop_order SET total=? WHERE id=?');
const sell = db.transaction((id) => {
  const { total } = read.get(id);
  nap(thinking);
  write.run(total + 1, id);
});

let failed = 0;
let why = '';
for (let i = 0; i < sales; i++) {
  try {
    sell((i % 10) + 1);
  } catch (error) {
    failed++;
    why = error.message;
  }
  nap(5);
}
console.log(failed, why);
