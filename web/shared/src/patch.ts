// RFC 6902 patches and RFC 6901 pointers on immutable JSON documents.
//
// A patched document shares every part that the patch did not touch with the one before it, so that
// what reads a part can compare it by identity. Two deviations, as the daemon's patches need them:
// `replace` of what is absent adds it, `remove` of an absent member does nothing.

export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export interface JsonObject {
	readonly [member: string]: Json
}

export interface Operation {
	op: 'add' | 'replace' | 'remove'
	path: string
	value?: Json
}

export class PatchError extends Error {}

/** The members that a pointer names, unescaped. */
export function parsePointer(pointer: string): string[] {
	if (pointer === '') return []
	if (!pointer.startsWith('/')) throw new PatchError(`"${pointer}" is not a JSON pointer`)
	return pointer
		.slice(1)
		.split('/')
		.map((part) => {
			if (/~(?![01])/.test(part)) throw new PatchError(`"${pointer}" has a bad escape`)
			return part.replaceAll('~1', '/').replaceAll('~0', '~')
		})
}

/** The pointer to a member path: pointer('wg', 'subnets', '10.59.0.1/24'). */
export function pointer(...members: string[]): string {
	return members.map((member) => `/${member.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

/** What a pointer leads to, or undefined where nothing is there. */
export function get(document: Json, at: string): Json | undefined {
	let value: Json | undefined = document
	for (const member of parsePointer(at)) {
		if (Array.isArray(value)) value = (value as readonly Json[])[Number(member)]
		else if (isObject(value) && Object.hasOwn(value, member)) value = value[member]
		else return undefined
	}
	return value
}

export function isObject(value: Json | undefined): value is JsonObject {
	return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function arrayIndex(member: string, length: number, adding: boolean): number {
	if (adding && member === '-') return length
	if (!/^(0|[1-9]\d*)$/.test(member)) throw new PatchError(`"${member}" is not an index`)
	const index = Number(member)
	if (index > length || (!adding && index === length)) throw new PatchError(`index ${member} is out of range`)
	return index
}

function edit(value: Json, path: readonly string[], depth: number, operation: Operation): Json {
	if (depth === path.length) {
		if (operation.op === 'remove') throw new PatchError('the whole document cannot be removed')
		return operation.value ?? null
	}
	const member = path[depth]!
	const last = depth === path.length - 1
	if (Array.isArray(value)) {
		const copy = value.slice() as Json[]
		const index = arrayIndex(member, copy.length, last && operation.op !== 'remove')
		if (!last) copy[index] = edit(copy[index]!, path, depth + 1, operation)
		else if (operation.op === 'add') copy.splice(index, 0, operation.value ?? null)
		else if (operation.op === 'replace') copy[index] = operation.value ?? null
		else copy.splice(index, 1)
		return copy
	}
	if (!isObject(value)) throw new PatchError(`nothing holds "${member}"`)
	if (!last) {
		if (!Object.hasOwn(value, member)) throw new PatchError(`"${member}" is not there`)
		return withMember(value, member, edit(value[member]!, path, depth + 1, operation))
	}
	if (operation.op !== 'remove') return withMember(value, member, operation.value ?? null)
	if (!Object.hasOwn(value, member)) return value
	const { [member]: _gone, ...rest } = value
	return rest
}

/** A member named "__proto__" is a member like any other. */
function withMember(object: JsonObject, member: string, value: Json): JsonObject {
	if (member !== '__proto__') return { ...object, [member]: value }
	return Object.defineProperty({ ...object }, member, { value, enumerable: true, writable: true, configurable: true })
}

/** The document after a patch. Throws PatchError, and then nothing happened. */
export function applyPatch(document: Json, patch: readonly Operation[]): Json {
	let value = document
	for (const operation of patch) {
		if (operation.op !== 'add' && operation.op !== 'replace' && operation.op !== 'remove')
			throw new PatchError(`"${String(operation.op)}" is not an operation of the daemon's patches`)
		value = edit(value, parsePointer(operation.path), 0, operation)
	}
	return value
}

/** As applyPatch, but leaves out the operations that no longer fit (for what is shown ahead of the answer). */
export function applyFitting(document: Json, patch: readonly Operation[]): Json {
	let value = document
	for (const operation of patch) {
		try {
			value = edit(value, parsePointer(operation.path), 0, operation)
		} catch (error) {
			if (!(error instanceof PatchError)) throw error
		}
	}
	return value
}
