// Fetches every message of INBOX into nothing, the way the README of imapflow
// shows it: one FETCH, answered message by message. With PARSE each goes through
// mailparser's simpleParser. Prints the number of messages.
import { ImapFlow } from 'imapflow';
import { simpleParser } from 'mailparser';

const { IMAP_HOST, IMAP_PORT, IMAP_USER, IMAP_PASSWORD, IMAP_TLS, PARSE } = process.env;
const client = new ImapFlow({
  host: IMAP_HOST,
  port: Number(IMAP_PORT),
  secure: Boolean(IMAP_TLS),
  doSTARTTLS: false,
  auth: { user: IMAP_USER, pass: IMAP_PASSWORD },
  logger: false,
});
await client.connect();
await client.mailboxOpen('INBOX', { readOnly: true });
let count = 0;
for await (const message of client.fetch('1:*', { uid: true, flags: true, internalDate: true, source: true })) {
  if (PARSE) {
    const mail = await simpleParser(message.source);
    if (mail.messageId === undefined) throw new Error(`message ${message.uid} has no Message-ID`);
  }
  count++;
}
await client.logout();
console.log(count);
