#!/usr/bin/python3
"""
A control point on GUPnP, for the lab: finds a gateway on an interface and calls an action of it.

    gupnp_client.py INTERFACE ACTION [NAME=VALUE | NAME]...

A name alone is one of the results that it writes, as a JSON object; of an error {"error": code}.
"""

import json
import sys

import gi

gi.require_version("GUPnP", "1.6")
from gi.repository import GLib, GObject, GUPnP  # noqa: E402

SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"


def main():
    interface, name, *words = sys.argv[1:]
    arguments = [word.split("=", 1) for word in words if "=" in word]
    results = [word for word in words if "=" not in word]
    loop = GLib.MainLoop()
    answer = {}

    def on_service(_, proxy):
        action = GUPnP.ServiceProxyAction.new_from_list(name, [key for key, _ in arguments],
                                                        [value for _, value in arguments])
        try:
            proxy.call_action(action, None)
            _, values = action.get_result_list(results, [GObject.TYPE_STRING] * len(results))
            answer.update(zip(results, values))
        except GLib.Error as error:
            answer["error"] = error.code
        loop.quit()

    context = GUPnP.Context.new(interface, 0)
    point = GUPnP.ControlPoint.new(context, SERVICE)
    point.connect("service-proxy-available", on_service)
    point.set_active(True)
    loop.run()
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
