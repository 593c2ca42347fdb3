// How the cells of a result are shown and ordered. They come as PostgreSQL writes them; what is shown is easier to read,
// and the exact text is in the cell's title and in the downloads.

import { LANGUAGE } from "./words.js";

const ENGLISH = LANGUAGE.startsWith("en");
const DAYS = new Intl.DateTimeFormat(LANGUAGE, {
  day: "2-digit", month: "2-digit", year: "numeric", timeZone: "UTC",
});
const NUMBER = /^-?\d+(\.\d+)?$/;
const DAY = /^\d{4}-\d\d-\d\d$/;
const MIDNIGHT = /^(\d{4,}-\d\d-\d\d) 00:00:00(?:\+00(?::00)?)?$/;
const MOMENT = /^(\d{4,}-\d\d-\d\d) (\d\d:\d\d)(:\d\d)?(?:\.\d+)?(?:\+00(?::00)?)?$/;
// Numbers that are names: nobody writes the year 2,025.
const NAMES = /(^|_)(id|year|years|yyyy|zip|code)$/i;

// Returns a function from a cell's text to what is shown, the same for the whole column.
export function formatter(column, values) {
  const given = values.filter((value) => value !== null);
  if (column.numeric) return number(column, given);
  if (column.type === "date") return day;
  if (column.type.startsWith("timestamp")) return moment(given);
  return (text) => text;
}

// Returns a function that compares two cells of a column upwards; empty ones come last either way.
export function comparison(column, falling) {
  const sign = falling ? -1 : 1;
  const compare = column.numeric ? (a, b) => Number(a) - Number(b) : new Intl.Collator(LANGUAGE, { numeric: true }).compare;
  return (a, b) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * compare(a, b);
  };
}

function number(column, values) {
  if (NAMES.test(column.name)) return (text) => text;
  const plain = values.filter((value) => NUMBER.test(value));
  const decimals = Math.max(0, ...plain.map((value) => value.split(".")[1]?.length ?? 0));
  const small = plain.every((value) => Math.abs(Number(value)) < 1);
  const places = Math.min(decimals, small ? 4 : 2);
  const format = new Intl.NumberFormat(LANGUAGE, { minimumFractionDigits: places, maximumFractionDigits: places });
  // A text, not a number, so that long ones stay exact.
  return (text) => (NUMBER.test(text) ? format.format(text) : text);
}

function moment(values) {
  if (values.every((value) => MIDNIGHT.test(value))) return (text) => text.replace(MIDNIGHT, (_, date) => day(date));
  return (text) => text.replace(MOMENT, (_, date, time) => `${day(date)} ${time}`);
}

// In English days are written in more than one way; this one is read by everybody.
function day(text) {
  return ENGLISH || !DAY.test(text) ? text : DAYS.format(Date.parse(text));
}
