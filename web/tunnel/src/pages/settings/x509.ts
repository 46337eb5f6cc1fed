// Just enough of X.509 to say for whom a certificate is and until when: names, issuer, end.

export interface CertificateFacts {
	names: string[]
	/** The issuer's common name. */
	issuer: string | null
	/** ISO 8601. */
	notAfter: string
}

interface Element {
	tag: number
	content: Uint8Array
}

class Malformed extends Error {}

/** The DER elements that follow one another in `bytes`. */
function elements(bytes: Uint8Array): Element[] {
	const found: Element[] = []
	for (let at = 0; at < bytes.length; ) {
		const tag = bytes[at++]!
		let length = bytes[at++] ?? 0
		if (length > 0x80) {
			const size = length & 0x7f
			if (size > 4) throw new Malformed()
			length = 0
			for (let i = 0; i < size; i++) length = length * 256 + (bytes[at++] ?? 0)
		}
		if (at + length > bytes.length) throw new Malformed()
		found.push({ tag, content: bytes.subarray(at, at + length) })
		at += length
	}
	return found
}

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

const COMMON_NAME = '550403'
const SUBJECT_ALT_NAME = '551d11'

function commonName(name: Element): string | null {
	for (const set of elements(name.content))
		for (const attribute of elements(set.content)) {
			const [oid, value] = elements(attribute.content)
			if (oid && value && hex(oid.content) === COMMON_NAME) return text(value.content)
		}
	return null
}

function time({ tag, content }: Element): string {
	const digits = text(content)
	// UTCTime has two digits of the year, of 1950 to 2049 (RFC 5280, 4.1.2.5.1).
	const full = tag === 0x17 ? (Number(digits.slice(0, 2)) < 50 ? '20' : '19') + digits : digits
	const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(full)
	if (!match) throw new Malformed()
	const [, y, mo, d, h, mi, s] = match
	return `${y}-${mo}-${d}T${h}:${mi}:${s}Z`
}

function altName({ tag, content }: Element): string | null {
	if (tag === 0x82) return text(content) // a DNS name
	if (tag !== 0x87) return null
	if (content.length === 4) return Array.from(content).join('.')
	return hex(content).replace(/(.{4})(?!$)/g, '$1:')
}

/** The facts of the first certificate of a PEM chain, or null where it is none. */
export function readCertificate(pem: string): CertificateFacts | null {
	const body = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/.exec(pem)?.[1]
	if (!body) return null
	try {
		const der = Uint8Array.from(atob(body.replace(/\s/g, '')), (char) => char.charCodeAt(0))
		const certificate = elements(der)[0]!
		const fields = elements(elements(certificate.content)[0]!.content)
		const versioned = fields[0]!.tag === 0xa0 ? 1 : 0 // the version is there, or not (1)
		const issuer = fields[versioned + 2]!
		const validity = elements(fields[versioned + 3]!.content)
		const subject = fields[versioned + 4]!
		const names: string[] = []
		const extensions = fields.find(({ tag }) => tag === 0xa3)
		for (const extension of extensions ? elements(elements(extensions.content)[0]!.content) : []) {
			const parts = elements(extension.content)
			if (hex(parts[0]!.content) !== SUBJECT_ALT_NAME) continue
			const list = elements(parts.at(-1)!.content)[0]!
			for (const name of elements(list.content)) {
				const known = altName(name)
				if (known) names.push(known)
			}
		}
		const own = commonName(subject)
		return { names: names.length > 0 ? names : own ? [own] : [], issuer: commonName(issuer), notAfter: time(validity[1]!) }
	} catch {
		return null // not a certificate that we can read: nothing is shown of it
	}
}
