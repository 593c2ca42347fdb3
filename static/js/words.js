// What the modules say, in the language of the page: the catalogue that it has loaded, or else the English of the source.

const catalogue = globalThis.django;

export const LANGUAGE = document.documentElement.lang;

export const gettext = catalogue?.gettext ?? ((text) => text);
export const ngettext = catalogue?.ngettext ?? ((one, many, count) => (count === 1 ? one : many));

// Puts values in place of %(name)s.
export function interpolate(text, values) {
  return text.replace(/%\((\w+)\)s/g, (_, name) => values[name]);
}

const numbers = new Map(); // by digits after the point

// Writes a number as people of that language do.
export function number(value, digits = 0) {
  if (!numbers.has(digits)) {
    numbers.set(digits, new Intl.NumberFormat(LANGUAGE, { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  }
  return numbers.get(digits).format(value);
}
