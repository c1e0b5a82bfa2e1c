/** The API's page: Scalar, as its makers build it, on the document of this program. */
import './docs.css';
import address from '../../node_modules/.scalar/standalone.js?url';

interface Scalar {
  createApiReference(place: string, configuration: Record<string, unknown>): unknown;
}

const script = document.createElement('script');
script.src = address;
script.onload = () => {
  const { Scalar } = globalThis as unknown as { Scalar: Scalar };
  Scalar.createApiReference('#app', {
    url: '/openapi.json',
    // Examples name the address at which one reads them, so that they work when pasted.
    servers: [{ url: location.origin }],
    authentication: { preferredSecurityScheme: 'admin_key' },
    defaultHttpClient: { targetKey: 'shell', clientKey: 'curl' },
    // Nobody but this origin is asked for anything.
    withDefaultFonts: false,
    telemetry: false,
    agent: { disabled: true },
    mcp: { disabled: true },
    hideClientButton: true,
    showDeveloperTools: 'never',
    persistAuth: false,
  });
};
document.head.append(script);
