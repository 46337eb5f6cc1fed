// Sentences of a dictionary, with their values filled in.

/** A sentence in the forms that a language has for numbers. */
export type Plural = { readonly other: string } & { readonly [form in Intl.LDMLPluralRule]?: string }

/** Puts values in the place of {names}. */
export function fill(sentence: string, values: Record<string, string | number>): string {
	return sentence.replace(/\{(\w+)\}/g, (whole, name: string) => (Object.hasOwn(values, name) ? String(values[name]) : whole))
}

/** The same dictionary in another language: the same names, any text. */
export type Translation<T> = {
	readonly [K in keyof T]: T[K] extends string ? string : T[K] extends { readonly other: string } ? Plural : Translation<T[K]>
}
