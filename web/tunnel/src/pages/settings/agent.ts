// A browser's name for people, from what it says of itself.

/** "Firefox, Linux", or null where nothing is recognized. */
export function agentName(agent: string | null): string | null {
	if (!agent) return null
	const browser =
		/Edg(e|A|iOS)?\//.test(agent) ? 'Edge'
		: /OPR\//.test(agent) ? 'Opera'
		: /Firefox\/|FxiOS\//.test(agent) ? 'Firefox'
		: /HeadlessChrome\/|Chrome\/|CriOS\/|Chromium\//.test(agent) ? 'Chrome'
		: /Safari\//.test(agent) ? 'Safari'
		: /^[\w.-]+/.exec(agent)?.[0]
	const system =
		/iPhone|iPad/.test(agent) ? 'iOS'
		: /Android/.test(agent) ? 'Android'
		: /Windows/.test(agent) ? 'Windows'
		: /Mac OS X/.test(agent) ? 'macOS'
		: /Linux/.test(agent) ? 'Linux'
		: null
	return browser ? (system ? `${browser}, ${system}` : browser) : null
}
