/*
 * UPnP Internet Gateway Device: names that its parts share
 *
 * What a gateway is called and where it is found. UPnP Device Architecture 1.1; WANIPConnection:1 and
 * WANCommonInterfaceConfig:1.
 */
#pragma once

#define IGD_HTTP_PORT 49001
#define IGD_ROOT_PATH "/rootDesc.xml"
#define IGD_CONNECTION_PATH "/WANIPCn.xml"
#define IGD_INTERFACE_PATH "/WANCfg.xml"
#define IGD_CONNECTION_CONTROL "/ctl/IPConn"
#define IGD_INTERFACE_CONTROL "/ctl/CmnIfCfg"

#define IGD_DEVICE_TYPE "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
#define IGD_WAN_DEVICE_TYPE "urn:schemas-upnp-org:device:WANDevice:1"
#define IGD_CONNECTION_DEVICE_TYPE "urn:schemas-upnp-org:device:WANConnectionDevice:1"
#define IGD_CONNECTION_TYPE "urn:schemas-upnp-org:service:WANIPConnection:1"
#define IGD_INTERFACE_TYPE "urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1"

#define IGD_UUID_SIZE 37 /* as text, with the NUL */
