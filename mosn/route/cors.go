package route

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"

	"sofamesh.io/sofamesh/sdk"
)

// compileCORS has the filter envoy.filters.http.cors compile a policy in its old place.
// outer is that of the virtual host, nil for none. A proxy without that filter has
// nobody who would read it.
func compileCORS(c sdk.Compiler, pb *routev3.CorsPolicy, outer sdk.RouteConfig) (sdk.RouteConfig, error) {
	if pb == nil {
		return outer, nil
	}
	f, err := c.HTTPFilter("envoy.filters.http.cors", nil)
	if err != nil {
		return outer, nil
	}
	inner, err := f.CompileRoute(c, &corsv3.CorsPolicy{
		AllowOriginStringMatch:       pb.GetAllowOriginStringMatch(),
		AllowMethods:                 pb.GetAllowMethods(),
		AllowHeaders:                 pb.GetAllowHeaders(),
		ExposeHeaders:                pb.GetExposeHeaders(),
		MaxAge:                       pb.GetMaxAge(),
		AllowCredentials:             pb.GetAllowCredentials(),
		FilterEnabled:                pb.GetFilterEnabled(),
		ShadowEnabled:                pb.GetShadowEnabled(),
		AllowPrivateNetworkAccess:    pb.GetAllowPrivateNetworkAccess(),
		ForwardNotMatchingPreflights: pb.GetForwardNotMatchingPreflights(),
	})
	if err != nil || outer == nil {
		return inner, err
	}
	return f.Merge(outer, inner), nil
}
